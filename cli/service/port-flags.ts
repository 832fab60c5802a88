// --publish-add and --publish-rm: what becomes of the published ports of a service.
import { SwarmError } from '../../proto/errors.ts'
import type { PortSpec } from '../../proto/spec/service-spec.ts'
import { read } from '../read-flag.ts'
import { changeKeyed } from './assignments.ts'
import { csvFields } from './csv.ts'
import { parsePublish } from './publish.ts'

interface PortFlags {
  readonly 'publish-add': readonly string[]
  readonly 'publish-rm': readonly string[]
}

/**
 * Ports are removed by target port. One that is added comes beside the others, and replaces the one that is published so
 * already. Source: Docker's client.
 */
export function changePorts(ports: readonly PortSpec[], flags: PortFlags): readonly PortSpec[] {
  const removed = flags['publish-rm'].flatMap((text) =>
    read('publish-rm', () => removedTargets(text), text),
  )
  const missing = removed.find((target) => !ports.some((port) => isTarget(port, target)))
  if (missing !== undefined) {
    const mode = missing.mode === undefined ? '' : ` and mode ${missing.mode}`
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `no port with the target ${missing.key}${mode} is published: "tsswarm service inspect --pretty" shows what is`,
    )
  }
  const added = flags['publish-add'].flatMap((port) =>
    read('publish-add', () => parsePublish(port), port),
  )
  const kept = ports.filter((port) => !removed.some((target) => isTarget(port, target)))
  return changeKeyed(kept, { removed: [], added }, publishedKey)
}

function publishedKey(port: PortSpec): string {
  return `${port.bindAddress} ${port.publishedPort}:${portKey(port)}/${port.mode}`
}

function portKey(port: PortSpec): string {
  return `${port.targetPort}/${port.protocol}`
}

interface RemovedTarget {
  readonly key: string
  /** Undefined: of any. */
  readonly mode: PortSpec['mode'] | undefined
}

function isTarget(port: PortSpec, { key, mode }: RemovedTarget): boolean {
  return portKey(port) === key && (mode === undefined || port.mode === mode)
}

/** `80`, `80/udp`, `8080:80`, or `target=80,mode=host`. The published port does not count, as with Docker's client. Errors: Error. */
function removedTargets(text: string): readonly RemovedTarget[] {
  if (text.includes('=')) {
    const saysMode = csvFields(text).some(({ key }) => key === 'mode')
    return parsePublish(text).map((port) => ({
      key: portKey(port),
      mode: saysMode ? port.mode : undefined,
    }))
  }
  const match = /^(?:\d+:)?(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text)
  if (match === null) throw new Error('must be a target port such as 80 or 80/udp')
  return [{ key: `${match[1]}/${match[2] ?? 'tcp'}`, mode: undefined }]
}
