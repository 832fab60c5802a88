// What is proposed for a stack that is not there: the nearest name of those that are.
import { suggestion } from '../../../proto/lib/suggest.ts'
import { namespaceLabel } from '../../../proto/objects/stack.ts'
import type { Client } from '../../client.ts'
import { listServices } from '../../lists.ts'

/** " (did you mean shop?)"; empty: none is near. */
export async function nearStack(client: Client, name: string): Promise<string> {
  const label = namespaceLabel
  const services = await listServices(client, [{ key: 'label', values: [label] }])
  const stacks = new Set(services.map(({ service }) => service?.spec?.labels[label] ?? ''))
  const near = suggestion(name, [...stacks])
  return near === undefined || near === name ? '' : ` (did you mean ${near}?)`
}
