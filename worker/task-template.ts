// The placeholders users may write in env, hostname and mounts: {{.Task.Slot}}, {{.Node.Hostname}} and the like.
// Not a template language: one placeholder is replaced by one value, anything else is an error.
// Source: Docker Swarm's service templates.
import { SwarmError } from '../proto/errors.ts'

export interface TemplateContext {
  readonly service: {
    readonly id: string
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
  }
  readonly node: {
    readonly id: string
    readonly hostname: string
    readonly os: string
    readonly architecture: string
  }
  readonly task: { readonly id: string; readonly name: string; readonly slot: string }
}

const placeholder = /\{\{-?\s*(.*?)\s*-?\}\}/g
const labelIndex = /^index\s+\.Service\.Labels\s+(?:"([^"]*)"|`([^`]*)`)$/
const labelField = /^\.Service\.Labels\.([A-Za-z0-9_]+)$/

/** The text with its placeholders replaced. Errors: INVALID_ARGUMENT naming `field` when one is unknown. */
export function expandTemplate(text: string, field: string, context: TemplateContext): string {
  if (!text.includes('{{')) return text
  return text.replace(placeholder, (whole, expression: string) => {
    const value = placeholderValue(expression, context)
    if (value === undefined) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `${field}: unknown placeholder ${whole}: use .Service.{ID,Name,Labels}, ` +
          '.Node.{ID,Hostname,Platform.{OS,Architecture}} or .Task.{ID,Name,Slot}',
        { details: { field } },
      )
    }
    return value
  })
}

function placeholderValue(
  expression: string,
  { service, node, task }: TemplateContext,
): string | undefined {
  const label = labelIndex.exec(expression) ?? labelField.exec(expression)
  // As in Go's templates, a label that does not exist reads as nothing.
  if (label !== null) return service.labels[label[1] ?? label[2] ?? ''] ?? ''
  const values: Readonly<Record<string, string>> = {
    '.Service.ID': service.id,
    '.Service.Name': service.name,
    '.Node.ID': node.id,
    '.Node.Hostname': node.hostname,
    '.Node.Platform.OS': node.os,
    '.Node.Platform.Architecture': node.architecture,
    '.Task.ID': task.id,
    '.Task.Name': task.name,
    '.Task.Slot': task.slot,
  }
  return Object.hasOwn(values, expression) ? values[expression] : undefined
}
