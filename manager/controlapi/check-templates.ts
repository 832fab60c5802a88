// Whether the templates of a service can be expanded: what is wrong is said when the service is made, not by its tasks.
// Source: swarm-semantics 7.5 (templating: also validated at service create).
import { SwarmError } from '../../proto/errors.ts'
import { expandTemplate, type TemplateContext } from '../../proto/go-template/task-template.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Problem } from './check-problem.ts'

export function checkTemplates({ name, labels, task }: ServiceSpec): readonly Problem[] {
  const context: TemplateContext = {
    service: { id: 'id', name, labels },
    node: { id: 'id', hostname: 'node', os: 'linux', architecture: 'x86_64' },
    task: { id: 'id', name: `${name}.1.id`, slot: '1' },
  }
  const { hostname, env, mounts } = task.container
  const texts: (readonly [string, string])[] = [['hostname', hostname]]
  env.forEach((line, i) => {
    texts.push([`env[${i}]`, line])
  })
  mounts.forEach((mount, i) => {
    const { source, target, volumeLabels, volumeOptions } = mount
    for (const text of [source, target, ...Object.values({ ...volumeLabels, ...volumeOptions })]) {
      texts.push([`mounts[${i}]`, text])
    }
  })
  return texts.flatMap(([field, text]) => problemOf(`task.container.${field}`, text, context))
}

function problemOf(field: string, text: string, context: TemplateContext): readonly Problem[] {
  try {
    expandTemplate(text, 'is no template of a task', context)
    return []
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    return [{ field, reason: err.message }]
  }
}
