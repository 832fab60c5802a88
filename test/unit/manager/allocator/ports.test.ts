// Published ports of services: conflicts name the other service, dynamic ones stay.
import t from 'tap'
import { dynamicFirst, dynamicLast, planPorts } from '../../../../manager/allocator/ports.ts'
import type { PublishedPort, Service } from '../../../../proto/objects/index.ts'
import { aService } from '../../../support/objects.ts'

type Ports = NonNullable<NonNullable<Parameters<typeof aService>[0]['task']>['ports']>

const withPorts = (ports: Ports): Service => aService({ name: 'web', task: { ports } })
const plan = (
  ports: Ports,
  before: readonly PublishedPort[] = [],
  others: readonly Service[] = [],
) => planPorts(withPorts(ports).spec, before, others)

const ingress = { mode: 'ingress' as const, targetPort: 80 }

function other(name: string, ports: Ports, given: readonly PublishedPort[] = []): Service {
  return aService({ id: name, name, task: { ports }, endpoint: { ports: given } })
}

t.test('explicit ports are taken, host ports are left to the scheduler', async (t) => {
  t.same(
    plan([
      { ...ingress, publishedPort: 8080 },
      { mode: 'host', targetPort: 81, publishedPort: 81 },
    ]),
    {
      kind: 'ok',
      ports: [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }],
    },
  )
  t.same(plan([]), { kind: 'ok', ports: [] })
})

t.test('a port of another service is refused by its name', async (t) => {
  const others = [other('api', [{ ...ingress, publishedPort: 8080 }])]
  t.match(plan([{ ...ingress, publishedPort: 8080 }], [], others), {
    kind: 'refused',
    code: 'IN_USE',
    position: 0,
    reason: /\(8080\/tcp\) is published by service "api" on every node: choose another port/,
  })
  t.match(plan([{ ...ingress, protocol: 'udp', publishedPort: 8080 }], [], others), { kind: 'ok' })
  t.match(plan([{ mode: 'host', targetPort: 80, publishedPort: 8080 }], [], others), {
    kind: 'refused',
  })
  const host = [other('db', [{ mode: 'host', targetPort: 80, publishedPort: 8080 }])]
  t.match(plan([{ ...ingress, publishedPort: 8080 }], [], host), {
    reason: /service "db" on the hosts of its tasks/,
  })
  t.match(plan([{ mode: 'host', targetPort: 80, publishedPort: 8080 }], [], host), { kind: 'ok' })
})

t.test('one port at different addresses is for two services, unless one has all', async (t) => {
  const at = (bindAddress: string, mode: 'ingress' | 'host' = 'ingress') =>
    ({ mode, targetPort: 80, publishedPort: 8080, bindAddress }) as const
  const kind = (own: Ports[number], ...others: Ports): string =>
    plan([own], [], [other('api', others)]).kind
  t.equal(kind(at('10.0.0.5'), at('10.0.0.6')), 'ok')
  t.equal(kind(at('10.0.0.5'), at('127.0.0.1'), at('10.0.0.6')), 'ok')
  t.equal(kind(at('10.0.0.5'), at('10.0.0.5')), 'refused')
  t.equal(kind(at('fd00::5'), at('FD00:0::5')), 'refused', 'the same address in other words')
  t.equal(kind(at(''), at('10.0.0.5')), 'refused')
  t.equal(kind(at('0.0.0.0'), at('10.0.0.5')), 'refused')
  t.equal(kind(at('0.0.0.0'), at('fd00::5')), 'ok')
  t.equal(kind(at('::'), at('0.0.0.0')), 'ok')
  t.equal(kind(at('10.0.0.5', 'host'), at('10.0.0.6')), 'ok')
  t.equal(kind(at('10.0.0.5', 'host'), at('10.0.0.5')), 'refused')
  t.match(plan([at('')], [], [other('api', [at('10.0.0.5', 'host')])]), {
    reason:
      /published by service "api" on the hosts of its tasks, at 10\.0\.0\.5: .* different addresses/,
  })
  // The dynamic port of another one is bound as that one's spec says.
  const dynamic = other(
    'api',
    [{ mode: 'host', targetPort: 9 }, ingress, { ...ingress, bindAddress: '10.0.0.5' }],
    [30_000, 30_001].map((port) => ({ protocol: 'tcp', targetPort: 80, publishedPort: port })),
  )
  const asked = { ...at('10.0.0.6'), publishedPort: 30_001 }
  t.equal(plan([asked], [], [dynamic]).kind, 'ok')
  t.equal(plan([{ ...asked, publishedPort: 30_000 }], [], [dynamic]).kind, 'refused')
})

t.test('dynamic ports are free ones, and stay over updates', async (t) => {
  const first = plan([ingress, ingress, { ...ingress, publishedPort: dynamicFirst + 1 }])
  t.match(first, {
    ports: [
      { publishedPort: dynamicFirst },
      { publishedPort: dynamicFirst + 2 },
      { publishedPort: dynamicFirst + 1 },
    ],
  })
  const before = [{ protocol: 'tcp' as const, targetPort: 80, publishedPort: 31_000 }]
  const low = [{ protocol: 'tcp' as const, targetPort: 80, publishedPort: dynamicFirst }]
  t.match(plan([{ ...ingress, targetPort: 90 }, ingress], low), {
    ports: [{ publishedPort: dynamicFirst + 1 }, { publishedPort: dynamicFirst }],
  })
  t.match(plan([{ ...ingress, targetPort: 90 }, ingress], before), {
    ports: [
      { targetPort: 90, publishedPort: dynamicFirst },
      { targetPort: 80, publishedPort: 31_000 },
    ],
  })
  const given = [{ protocol: 'tcp' as const, targetPort: 1, publishedPort: 31_000 }]
  t.match(plan([ingress], before, [other('api', [ingress], given)]), {
    ports: [{ publishedPort: dynamicFirst }],
  })
})

t.test('an explicit port that another got by chance is refused too', async (t) => {
  const given = [{ protocol: 'tcp' as const, targetPort: 1, publishedPort: 30_005 }]
  t.match(plan([{ ...ingress, publishedPort: 30_005 }], [], [other('api', [ingress], given)]), {
    kind: 'refused',
    reason: /service "api" on every node/,
  })
})

t.test('when all are published there is none', async (t) => {
  const given = Array.from({ length: dynamicLast - dynamicFirst + 1 }, (_, i) => ({
    protocol: 'tcp' as const,
    targetPort: 80,
    publishedPort: dynamicFirst + i,
  }))
  const others = [other('api', [], given)]
  t.match(plan([{ ...ingress, publishedPort: 80 }, ingress], [], others), {
    kind: 'refused',
    code: 'RESOURCE_EXHAUSTED',
    position: 1,
    reason: /all tcp ports from 30000 to 32767/,
  })
  t.match(plan([{ ...ingress, protocol: 'sctp' }], [], others), { kind: 'ok' })
})
