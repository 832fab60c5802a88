// What `--format` of an inspect means: indented JSON of all objects, `json` in one line, or a Go template an object.
import { evaluateTemplate } from '../../proto/go-template/evaluate.ts'
import type { Value } from '../../proto/go-template/functions.ts'
import { parseTemplate } from '../../proto/go-template/parser.ts'
import { unescapeFormat } from './list-format.ts'

/** The text of inspected objects in Docker's JSON. Errors: INVALID_ARGUMENT on a bad template. */
export function renderInspect(objects: readonly Value[], format: string | undefined): string {
  if (format === undefined || format === '') return `${JSON.stringify(objects, undefined, 4)}\n`
  if (format === 'json') return `${JSON.stringify(objects)}\n`
  const template = parseTemplate(unescapeFormat(format))
  return objects
    .map((object) => `${evaluateTemplate(template, object, { missing: 'no value' })}\n`)
    .join('')
}

/** The text of one object: JSON in one line, or a Go template. Errors: INVALID_ARGUMENT on a bad template. */
export function renderInspectOne(object: Value, format: string): string {
  if (format === 'json') return `${JSON.stringify(object)}\n`
  return renderInspect([object], format)
}
