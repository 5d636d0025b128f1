// What Grafana shows of panels and of Prometheus' answers, as text: transformations, field overrides, units, mappings, colours
// and totals by Grafana's own code (@grafana/data). Reads a JSON list of {panel, answers} from stdin, writes a list of texts.
// What is not part of that package is written down here: the data source's tables, the table's order of rows and its totals.
// scripts/pictures/draw.cjs makes pictures of the same, in the colours of COSTSPAN_SCHEME.
globalThis.navigator = { language: 'en-US', languages: ['en-US'] };
const data = require('@grafana/data');
const { lastValueFrom } = require('rxjs');

globalThis.window = globalThis; // asked for the links of a field; set before, other packages would look for a browser

const { FieldType } = data;
const theme = data.createTheme({ colors: { mode: process.env.COSTSPAN_SCHEME ?? 'light' } });
const COLOURS = ['green', 'yellow', 'orange', 'red', 'blue', 'purple', 'text', 'transparent'];
const NAMES = Object.fromEntries(COLOURS.map((name) => [hex(theme.visualization.getColorByName(name)), name]));

function hex(colour) {
  return data.colorManipulator.asHexString(colour);
}

// public/app/core/components/OptionsUI and packages/grafana-ui register these; a property that is missing here is refused below.
const always = () => true;
const numbers = (field) => field.type === FieldType.number;
const PROPERTIES = [
  ['unit', data.unitOverrideProcessor, always], ['decimals', data.numberOverrideProcessor, numbers],
  ['min', data.numberOverrideProcessor, numbers], ['max', data.numberOverrideProcessor, numbers],
  ['noValue', data.stringOverrideProcessor, always], ['color', data.identityOverrideProcessor, always],
  ['thresholds', data.thresholdsOverrideProcessor, numbers],
  ['mappings', data.valueMappingsOverrideProcessor, (field) => field.type !== FieldType.time],
  ['links', data.dataLinksOverrideProcessor, always],
];
const CUSTOM = ['align', 'cellOptions', 'footer', 'drawStyle', 'barAlignment', 'barWidthFactor', 'fillOpacity', 'lineWidth',
  'spanNulls', 'stacking', 'axisSoftMin'];

function registry() {
  const made = new data.FieldConfigOptionsRegistry();
  for (const [id, process, shouldApply] of PROPERTIES) made.register({ id, path: id, name: id, process, shouldApply });
  for (const path of CUSTOM) {
    made.register({
      id: `custom.${path}`, path, name: path, isCustom: true, process: data.identityOverrideProcessor, shouldApply: always,
    });
  }
  return made;
}

const FIELDS = registry();
data.standardFieldConfigEditorRegistry.setInit(() => FIELDS.list().filter((item) => !item.isCustom));
data.standardTransformersRegistry.setInit(() => ['merge', 'organize'].map((id) => ({
  id, name: id, transformation: async () => Object.values(data.standardTransformers).find((one) => one.id === id),
})));

function number(sample) {
  return /^[+-]?Inf$/.test(sample) ? Number(`${sample}inity`) : Number(sample);
}

function named(legend, labels) {
  return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
}

// One frame a series; an answer without series is a frame without fields. (pkg/promlib/querydata/response.go)
function framesOf({ refId, legendFormat }, series) {
  if (!series.length) return [{ refId, fields: [], length: 0 }];
  return series.map(({ labels, times, values }) => ({
    refId,
    length: times.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: times },
      { name: 'Value', type: FieldType.number, config: { displayNameFromDS: named(legendFormat, labels) }, labels, values: values.map(number) },
    ],
  }));
}

// A row a sample: time, the labels in order, the value under the letter of its query. (@grafana/prometheus, result_transformer)
function tablesOf(answers) {
  const letters = Object.keys(answers);
  return letters.map((refId) => {
    const labels = [];
    for (const one of answers[refId]) {
      for (const label of Object.keys(one.labels).sort()) if (!labels.includes(label)) labels.push(label);
    }
    const samples = answers[refId].flatMap((one) => one.values.map((value, at) => ({ one, value: number(value), time: one.times[at] })));
    return {
      refId,
      length: samples.length,
      fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: samples.map(({ time }) => time) },
        ...labels.map((label) => ({
          name: label, type: FieldType.string, config: {}, values: samples.map(({ one }) => one.labels[label] ?? ''),
        })),
        {
          name: letters.length > 1 ? `Value #${refId}` : 'Value', type: FieldType.number, config: {},
          values: samples.map(({ value }) => value),
        },
      ],
    };
  });
}

async function framesFor(panel, answers) {
  const isTable = panel.targets.every((target) => target.format === 'table');
  let frames = isTable ? tablesOf(answers) : panel.targets.flatMap((target) => framesOf(target, answers[target.refId]));
  for (const one of panel.transformations ?? []) {
    frames = await lastValueFrom(data.transformDataFrame([one], frames, { interpolate: (text) => text }));
  }
  for (const { properties } of panel.fieldConfig.overrides) {
    for (const { id } of properties) if (!FIELDS.getIfExists(id)) throw new Error(`${id} is not known here`);
  }
  return data.applyFieldOverrides({
    data: frames, fieldConfig: panel.fieldConfig, fieldConfigRegistry: FIELDS, replaceVariables: (text) => text, theme,
    timeZone: 'utc',
  });
}

function text(field, value) {
  return data.formattedValueToString(field.display(value));
}

function calculated(of, field, calc) {
  return text(field, data.reduceField({ field: of, reducers: [calc] })[calc]);
}

function colour(display) {
  return NAMES[hex(display.color)] ?? display.color;
}

function part({ min, max }, value) {
  return Math.max(0, Math.min(1, (value - min) / (max - min)));
}

function bar(config, value) {
  return `[bar ${(100 * part(config, value)).toFixed(1)}%]`;
}

// How a number is written at every magnitude: by its unit, its decimals, its words.
const PROBES = {
  currency: [0, 5e-12, 3e-7, 2e-6, 4e-5, 2e-4, 0.0049, 1970.55], percentunit: [0, 5e-12, 4e-4, 0.002, 0.1234, 1.5],
  locale: [0, 0.25, 1234567], s: [0.012, 90, 7200],
};

function measures(fields) {
  const told = fields.map(({ title, field }) => {
    const unit = field.config.unit ?? 'none';
    const probes = Object.entries(PROBES).find(([start]) => unit.startsWith(start))?.[1] ?? [0, 1, 2, 3, 12.345];
    const hasWords = (field.config.mappings ?? []).some(({ type }) => type === 'value');
    return `${title}: ${probes.map((one) => `${one} is ${text(field, one)}${hasWords ? ` (${colour(field.display(one))})` : ''}`).join(', ')}`;
  });
  return [...new Set(told)];
}

function colours(panel) {
  const { steps, mode } = panel.fieldConfig.defaults.thresholds;
  return `colours (${panel.fieldConfig.defaults.color.mode}, ${mode}): ${steps.map(({ color, value }) => (value === null ? color : `${color} from ${value}`)).join(', ')}`;
}

function figuresOf(panel, frames) {
  return data.getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (one) => one, theme,
    timeZone: 'utc',
  });
}

function figures(panel, frames) {
  const isGauge = panel.type === 'bargauge';
  const numeric = frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map(
    (field) => ({ title: data.getFieldDisplayName(field, frame, frames), field }),
  ));
  return [...figuresOf(panel, frames).map(({ display, field }) => [
    panel.options.textMode === 'value_and_name' || isGauge ? `${display.title}: ` : '', data.formattedValueToString(display),
    isGauge && Number.isFinite(display.numeric) ? ` ${bar(field, display.numeric)}` : '',
    panel.options.colorMode === 'none' ? '' : ` (${colour(display)}${panel.options.colorMode ? ` ${panel.options.colorMode}` : ''})`,
  ].join('')), `nothing: ${panel.fieldConfig.defaults.noValue}`, colours(panel), ...measures(numeric)];
}

function cell(field, value) {
  const { type, mode, applyToRow } = field.config.custom?.cellOptions ?? { type: 'auto' };
  const display = field.display(value);
  if (type === 'gauge' && typeof value === 'number') return `${text(field, value)} ${bar(field.config, value)} (${colour(display)} ${mode})`;
  if (type === 'color-background' && typeof value === 'number') {
    return `${text(field, value)} (${colour(display)} ${mode}${applyToRow ? ' row' : ''})`;
  }
  return text(field, value);
}

// Nothing is less than everything. (@grafana/ui, TableNG)
function order(one, other) {
  if (one === other) return 0;
  if (one == null) return -1;
  return other == null ? 1 : one - other;
}

function sortedBy(frame, at, desc) {
  const { values } = frame.fields[at];
  const rows = Array.from(values.keys()).sort((one, other) => (desc ? order(values[other], values[one]) : order(values[one], values[other])));
  return { ...frame, fields: frame.fields.map((field) => ({ ...field, values: rows.map((row) => field.values[row]) })) };
}

function totalsOf(field) {
  return (field.config.custom?.footer?.reducers ?? []).map((reducer) => [reducer, calculated({ ...field, state: undefined }, field, reducer)]);
}

function table(panel, frames) {
  const frame = frames[panel.options.frameIndex];
  if (!frame || !frame.length) return [panel.fieldConfig.defaults.noValue ?? 'No data'];
  const header = frame.fields.map((field) => data.getFieldDisplayName(field, frame, frames));
  const [{ displayName, desc }] = panel.options.sortBy;
  const sorted = sortedBy(frame, header.indexOf(displayName), desc);
  const rows = Array.from({ length: frame.length }, (_, row) => sorted.fields.map((field) => cell(field, field.values[row])));
  const total = sorted.fields.map((field) => totalsOf(field).map(([reducer, sum]) => `${reducer} ${sum}`).join(' '));
  const aligned = sorted.fields.map((field, at) => header[at] + ({ right: ' >', left: ' <' }[field.config.custom?.align] ?? ''));
  const links = sorted.fields.flatMap((field, at) => (field.config.links ?? []).map(
    (link) => `click on ${header[at]}, ${link.title}${link.targetBlank ? ' in a new tab' : ''}: ${link.url}`,
  ));
  const numeric = sorted.fields.flatMap((field, at) => (field.type === FieldType.number ? [{ title: header[at], field }] : []));
  const lines = [aligned, ...rows, ...(total.some(Boolean) ? [total] : [])].map((one) => one.join(' | ').trimEnd());
  const empty = sorted.fields.map((field, at) => `${header[at]} ${JSON.stringify(text(field, null))}`);
  return [
    ...lines, `order: ${displayName}, the ${desc ? 'greatest' : 'least'} first`, ...links, `empty cells: ${empty.join(', ')}`,
    `nothing: ${panel.fieldConfig.defaults.noValue}`, colours(panel), ...measures(numeric),
  ];
}

function graph(panel, frames) {
  const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })));
  if (!fields.length) return [panel.fieldConfig.defaults.noValue ?? 'No data'];
  const { custom } = panel.fieldConfig.defaults;
  const said = `${JSON.stringify(custom)} legend ${JSON.stringify(panel.options.legend)} at least ${panel.interval ?? 'any step'}, ${panel.fieldConfig.defaults.color.mode}`;
  const numeric = fields.map(({ frame, field }) => ({ title: data.getFieldDisplayName(field, frame, frames), field }));
  const fixed = panel.fieldConfig.overrides.map(({ matcher, properties }) => `${matcher.options} ${JSON.stringify(properties)}`);
  return [said, ...(fixed.length ? [`series: ${fixed.join(', ')}`] : []), `nothing: ${panel.fieldConfig.defaults.noValue}`, ...fields.map(({ frame, field }) => {
    const points = field.values.map((value, at) => `${new Date(frame.fields[0].values[at]).toISOString().slice(0, 16)} ${text(field, value)}`);
    const sums = panel.options.legend.calcs.map((calc) => `${calc} ${calculated(field, field, calc)}`);
    const colour = field.config.color?.mode === 'fixed' ? field.config.color.fixedColor : field.config.color?.mode;
    return `${data.getFieldDisplayName(field, frame, frames)} (${colour}): ${[...sums, ...points].join(', ')}`;
  }), ...measures(numeric.slice(0, 1))];
}

const KINDS = { stat: figures, bargauge: figures, table, timeseries: graph };

async function shown({ panel, answers }) {
  try {
    return KINDS[panel.type](panel, await framesFor(panel, answers)).join('\n');
  } catch (fault) {
    return `${fault}`;
  }
}

async function main(answer) {
  let input = '';
  for await (const some of process.stdin) input += some;
  const answers = [];
  for (const one of JSON.parse(input)) answers.push(await answer(one));
  process.stdout.write(JSON.stringify(answers));
}

module.exports = { calculated, data, figuresOf, FieldType, framesFor, hex, main, part, sortedBy, text, theme, totalsOf };
if (require.main === module) main(shown);
