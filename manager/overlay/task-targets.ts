// Where a task of another spec than its service's present one takes the ports that the service publishes now: in the middle of
// an update old and new tasks serve side by side, and a port may lead to another one in the new. Pure.
import { canonicalBind, type IngressPort, type TaskTarget } from '../../proto/objects/index.ts'
import type { PortSpec } from '../../proto/spec/service-spec.ts'

type Wish = Pick<PortSpec, 'mode' | 'protocol' | 'targetPort' | 'publishedPort' | 'bindAddress'>

/**
 * What differs from `ports`, those of the service. `own`: of the task's spec. A port that the task publishes too leads where its own
 * spec says; one that it does not publish leads to it only where it serves the very port.
 */
export function taskTargets(
  own: readonly Wish[],
  ports: readonly IngressPort[],
): readonly TaskTarget[] {
  const wishes = own.filter(({ mode }) => mode === 'ingress')
  const published = new Map(wishes.map((wish) => [publishedKey(wish), wish.targetPort]))
  const served = new Set(wishes.map(servedKey))
  return ports.flatMap(({ protocol, publishedPort, bindAddress, targetPort }) => {
    const at = { protocol, publishedPort, bindAddress }
    const same = published.get(publishedKey(at))
    const target = same ?? (served.has(servedKey({ protocol, targetPort })) ? targetPort : 0)
    return target === targetPort ? [] : [{ ...at, targetPort: target }]
  })
}

function publishedKey(port: Pick<Wish, 'protocol' | 'publishedPort' | 'bindAddress'>): string {
  return `${port.protocol} ${port.publishedPort} ${canonicalBind(port.bindAddress)}`
}

function servedKey({ protocol, targetPort }: Pick<Wish, 'protocol' | 'targetPort'>): string {
  return `${protocol} ${targetPort}`
}
