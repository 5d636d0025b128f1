"""Questions to the ledger and their answers."""

from costspan.report import as_data, as_text
from costspan.report.page import Page
from costspan.report.summary import summary
from costspan.report.usage import Question, Report, ask

__all__ = ["Page", "Question", "Report", "as_data", "as_text", "ask", "summary"]
