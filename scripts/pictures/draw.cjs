// What Grafana shows of panels and of Prometheus' answers, as data for a picture: figures as they are written, their colours,
// their order and totals by Grafana's own code. Runs in the folder of tests/grafana/show.cjs, which has the rest.
const path = require('path');
const { calculated, data, figuresOf, FieldType, framesFor, hex, main, part, sortedBy, text, theme, totalsOf } = require(path.resolve('show.cjs'));

const TRANSPARENT = hex(theme.visualization.getColorByName('transparent'));

function figures(panel, frames) {
  return figuresOf(panel, frames).map(({ display, field }) => ({
    name: display.title, text: data.formattedValueToString(display), colour: hex(display.color),
    part: Number.isFinite(display.numeric) && panel.type === 'bargauge' ? part(field, display.numeric) : null,
  }));
}

function cell(field, value) {
  const isGauge = field.config.custom?.cellOptions?.type === 'gauge' && typeof value === 'number';
  const display = field.display(value);
  return { text: text(field, value), colour: isGauge ? hex(display.color) : null, part: isGauge ? part(field.config, value) : null };
}

// Where a cell's colour is that of its whole row: which it is, or none.
function behind(fields, row) {
  const field = fields.find(({ config }) => config.custom?.cellOptions?.applyToRow);
  const value = field?.values[row];
  const colour = typeof value === 'number' ? hex(field.display(value).color) : TRANSPARENT;
  return colour === TRANSPARENT ? null : colour;
}

function table(panel, frames) {
  const frame = frames[panel.options.frameIndex];
  if (!frame || !frame.length) return { columns: [], rows: [], totals: [] };
  const names = frame.fields.map((field) => data.getFieldDisplayName(field, frame, frames));
  const [{ displayName, desc }] = panel.options.sortBy;
  const sorted = sortedBy(frame, names.indexOf(displayName), desc);
  return {
    columns: sorted.fields.map((field, at) => ({ name: names[at], align: field.config.custom?.align ?? 'left' })),
    rows: Array.from({ length: frame.length }, (_, row) => ({
      behind: behind(sorted.fields, row), cells: sorted.fields.map((field) => cell(field, field.values[row])),
    })),
    totals: sorted.fields.map((field) => totalsOf(field).map(([, sum]) => sum).join(' ')),
  };
}

// Steps of 1, 2 or 5 times a power of ten, four at least, up to the highest value.
function ticks(field, highest) {
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((times) => times * power).find((one) => one <= rough);
  return Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, at) => ({ value: at * step, text: text(field, at * step) }));
}

function graph(panel, frames) {
  const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })));
  const { drawStyle, stacking } = panel.fieldConfig.defaults.custom;
  const series = fields.map(({ frame, field }) => ({
    name: data.getFieldDisplayName(field, frame, frames), colour: hex(data.getFieldSeriesColor(field, theme).color),
    points: field.values.map((value, at) => [frame.fields[0].values[at], value]),
    calcs: panel.options.legend.calcs.map((calc) => calculated(field, field, calc)),
  }));
  const sums = new Map();
  for (const [time, value] of series.flatMap(({ points }) => points)) {
    sums.set(time, stacking?.mode === 'normal' ? (sums.get(time) ?? 0) + value : Math.max(sums.get(time) ?? 0, value));
  }
  const highest = Math.max(...sums.values());
  return {
    series, isBars: drawStyle === 'bars', calcs: panel.options.legend.calcs, ticks: highest > 0 ? ticks(fields[0].field, highest) : [],
  };
}

const KINDS = { stat: figures, bargauge: figures, table, timeseries: graph };

main(async ({ panel, answers }) => KINDS[panel.type](panel, await framesFor(panel, answers)));
