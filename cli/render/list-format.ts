// What `--format` and `-q` of a listing mean: a table, JSON lines, or a Go template a row.
import { evaluateTemplate } from '../../proto/go-template/evaluate.ts'
import { parseTemplate } from '../../proto/go-template/parser.ts'
import { alignTable } from './table.ts'

export type Row = Readonly<Record<string, string | boolean>>

export interface ListView {
  /** Column heads by field name; the fields a template may use. */
  readonly heads: Row
  /** The default table as a template without `table `. */
  readonly table: string
  /** The field that -q prints. */
  readonly quietField: string
}

export interface ListOptions {
  readonly format?: string | undefined
  readonly quiet?: boolean
}

/** The text of a listing, each row on its own line. Errors: INVALID_ARGUMENT on a bad template. */
export function renderList(view: ListView, rows: readonly Row[], options: ListOptions): string {
  const format = options.format?.trim() || 'table'
  if (!options.format && options.quiet) {
    return rows.map((row) => `${row[view.quietField] ?? ''}\n`).join('')
  }
  if (format === 'json') return rows.map((row) => `${JSON.stringify(sorted(row))}\n`).join('')
  if (format === 'table')
    return renderTable(view, options.quiet ? `{{.${view.quietField}}}` : view.table, rows)
  if (format.startsWith('table ')) return renderTable(view, format.slice(6).trim(), rows)
  const template = parseTemplate(unescapeFormat(options.format ?? ''))
  return rows.map((row) => `${evaluateTemplate(template, sorted(row))}\n`).join('')
}

function renderTable(view: ListView, source: string, rows: readonly Row[]): string {
  const template = parseTemplate(unescapeFormat(source))
  const lines = [view.heads, ...rows].map((row) => evaluateTemplate(template, row))
  return alignTable(lines)
}

/** Shells pass `\t` and `\n` as two characters. */
export function unescapeFormat(format: string): string {
  return format.replaceAll('\\t', '\t').replaceAll('\\n', '\n')
}

/** Docker's order of fields, in `json` and in `{{json .}}`. */
function sorted(row: Row): Row {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))
}
