"""A program without a word of costspan, for the ways to start it from outside: Docker, uv, poetry."""

import openai

asked = [{"role": "user", "content": "Where is order 4711?"}]
print(openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked).choices[0].message.content)
