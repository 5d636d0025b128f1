// What a dashboard file may hold, put together from Grafana's own types. tests/stack/test_dashboards.py appends each file as
// a literal of type `File`, so that tsc refuses unknown, missing and mistyped properties.
import type {
  Dashboard, FieldConfig, Panel, RowPanel, TableFieldOptions, TableOptions, ThresholdsConfig, ValueMapping, VariableModel,
} from '@grafana/schema';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimeSeriesCustom, Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON writes the value of an enum, not its name.
type Written<T> = unknown extends T ? unknown
  : T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Written<E>[]
  : T extends object ? { [K in keyof T]: Written<T[K]> } : T;

// @grafana/prometheus, src/dataquery.ts and src/types.ts: not part of @grafana/schema.
interface Source { type: 'prometheus'; uid: string }
interface Target {
  refId: string; datasource: Source; expr: string; legendFormat: string; editorMode: 'code' | 'builder';
  format: 'time_series' | 'table' | 'heatmap'; instant: boolean; range: boolean; exemplar: boolean;
}
// @grafana/data, src/transformations/transformers: merge, organize.
type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | { id: 'organize'; options: { excludeByName: Record<string, boolean>; indexByName: Record<string, number>; renameByName: Record<string, string> } };
type Property =
  | { id: 'unit' | 'noValue'; value: string } | { id: 'decimals' | 'min' | 'max'; value: number }
  | { id: 'color'; value: Written<NonNullable<FieldConfig['color']>> }
  | { id: 'links'; value: { title: string; url: string; targetBlank: boolean }[] }
  | { id: 'mappings'; value: Written<ValueMapping>[] }
  | { id: 'custom.align'; value: Written<TableFieldOptions['align']> }
  | { id: 'custom.footer'; value: Written<NonNullable<TableFieldOptions['footer']>> }
  | { id: 'custom.cellOptions'; value: Written<TableFieldOptions['cellOptions']> };
interface Field<Custom> {
  defaults: Omit<Written<Omit<FieldConfig, 'custom' | 'mappings' | 'thresholds'>>, never> & {
    custom?: Written<Custom>; mappings?: Written<ValueMapping>[]; thresholds?: Written<ThresholdsConfig>;
  };
  overrides: { matcher: { id: 'byName'; options: string }; properties: Property[] }[];
}
type Of<Type extends string, Options, Custom> =
  Omit<Written<Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'transformations'>>, 'id'>
  & { id: number; type: Type; title: string; description: string; datasource: Source; targets: Target[];
      options: Written<Options>; fieldConfig: Field<Custom>; transformations?: Transformation[] };
type AnyPanel =
  | Of<'stat', StatOptions, never> | Of<'bargauge', BarGaugeOptions, never>
  | Of<'timeseries', TimeSeriesOptions, TimeSeriesCustom> | Of<'table', TableOptions, never>
  | Written<RowPanel>;
// A data source variable has no data source; a query's model is the data source's own.
type Variable = Written<Omit<VariableModel, 'query' | 'datasource'>>
  & { query: string | { query: string; refId: string; qryType: number }; datasource?: Source };

export type File = Omit<Written<Omit<Dashboard, 'panels' | 'templating'>>, never>
  & { uid: string; title: string; panels: AnyPanel[]; templating: { list: Variable[] } };
