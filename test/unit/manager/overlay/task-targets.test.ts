import t from 'tap'
import { taskTargets } from '../../../../manager/overlay/task-targets.ts'
import type { IngressPort } from '../../../../proto/objects/overlay.ts'
import { anIngressPort } from '../../../support/overlay-builders.ts'

type Wish = Parameters<typeof taskTargets>[0][number]

function aWish(targetPort: number, publishedPort: number, wish: Partial<Wish> = {}): Wish {
  return { mode: 'ingress', protocol: 'tcp', targetPort, publishedPort, bindAddress: '', ...wish }
}

function aTarget(targetPort: number, port: Partial<IngressPort> = {}) {
  const { protocol, publishedPort, bindAddress } = anIngressPort(port)
  return { protocol, publishedPort, bindAddress, targetPort }
}

t.test('a task of an earlier spec takes a published port where that spec says', async (t) => {
  const http = anIngressPort({ targetPort: 8080 })
  t.same(taskTargets([aWish(80, 8080)], [http]), [aTarget(80)])
  t.same(taskTargets([aWish(8080, 8080)], [http]), [], 'the same')
  const both = [aWish(80, 8080), aWish(8080, 9090)]
  t.same(taskTargets(both, [http]), [aTarget(80)], 'though it serves the other port too')
})

t.test('a port that it does not publish leads to it where it serves the very port', async (t) => {
  const moved = anIngressPort({ targetPort: 80, publishedPort: 8081 })
  t.same(taskTargets([aWish(80, 8080)], [moved]), [], 'published elsewhere before')
  t.same(taskTargets([aWish(80, 0)], [moved]), [], 'or anywhere')
  const added = anIngressPort({ targetPort: 9000, publishedPort: 9000 })
  t.same(taskTargets([aWish(80, 8080)], [added]), [aTarget(0, added)])
})

t.test('protocol, address and mode tell ports apart', async (t) => {
  const port = anIngressPort({ targetPort: 81, bindAddress: '127.0.0.1' })
  t.same(taskTargets([aWish(80, 8080)], [port]), [aTarget(0, port)], 'on all addresses')
  t.same(taskTargets([aWish(80, 8080, { bindAddress: '127.0.0.1' })], [port]), [aTarget(80, port)])
  const six = anIngressPort({ targetPort: 81, bindAddress: 'fd00::1' })
  t.same(taskTargets([aWish(80, 8080, { bindAddress: 'FD00:0::1' })], [six]), [aTarget(80, six)])
  const udp = anIngressPort({ protocol: 'udp', targetPort: 53 })
  t.same(taskTargets([aWish(53, 8080)], [udp]), [aTarget(0, udp)])
  t.same(taskTargets([aWish(53, 8080, { mode: 'host', protocol: 'udp' })], [udp]), [
    aTarget(0, udp),
  ])
})
