import fc from 'fast-check'
import t from 'tap'
import { networkId, serviceId, taskId } from '../../../../../proto/objects/ids.ts'
import type { NetworkView } from '../../../../../proto/objects/overlay.ts'
import { Zone } from '../../../../../worker/network/dns/zone.ts'
import { KnownViews } from '../../../../../worker/network/dns/zone-change.ts'
import { anEndpoint, anOverlay, aTaskEndpoint, aView } from '../../../../support/dns.ts'

const kinds = (known: KnownViews, ...views: readonly NetworkView[]): readonly string[] =>
  known.update(views).map(({ kind }) => kind)

t.test('what is new is added, what is gone is removed, what stays is not mentioned', async (t) => {
  const known = new KnownViews()
  const other = aTaskEndpoint({ taskId: taskId('task2'), slot: 2, addresses: ['10.0.1.12'] })
  t.same(kinds(known, aView()), ['network', 'service', 'task'])
  t.same(kinds(known, aView()), [], 'equal objects are no change')
  t.same(kinds(known, aView([aTaskEndpoint(), other])), ['task'])
  t.same(kinds(known, aView([{ ...aTaskEndpoint(), isServing: false }, other])), ['task'])
  t.same(kinds(known, aView([other], [])), ['task-gone', 'service-gone'])
  t.same(kinds(known), ['network-gone'])
  t.same(known.all(), [])
})

t.test('removals come first, over all networks: an address may move on', async (t) => {
  const known = new KnownViews()
  known.update([aView(), { ...aView([], []), network: anOverlay({ id: networkId('net2') }) }])
  const moved = { ...aView([aTaskEndpoint()], []), network: anOverlay({ id: networkId('net2') }) }
  t.same(kinds(known, moved, aView([])), ['task-gone', 'task'])
})

t.test('single changes are known in the next comparison', async (t) => {
  const known = new KnownViews()
  const view = aView()
  known.update([view])
  known.apply([{ kind: 'task-gone', networkId: 'net1', taskId: 'task1' }])
  t.same(kinds(known, view), ['task'], 'also when the same view is given again')
  known.apply([{ kind: 'service', networkId: 'elsewhere', service: anEndpoint() }])
  t.same(kinds(known, view), [], 'what is on no known network is passed over')
})

/** Few ids and addresses, so that they meet. */
const someViews = fc.uniqueArray(
  fc
    .record({
      id: fc.constantFrom('net1', 'net2'),
      isInternal: fc.boolean(),
      services: fc.uniqueArray(
        fc.record({
          id: fc.constantFrom('svc1', 'svc2'),
          name: fc.constantFrom('web', 'api'),
          alias: fc.constantFrom('web', 'all', 'x..y'),
          mode: fc.constantFrom('vip' as const, 'dnsrr' as const),
          vip: fc.constantFrom('10.0.1.2', '10.0.1.3'),
        }),
        { selector: ({ id }) => id },
      ),
      tasks: fc.uniqueArray(
        fc.record({
          id: fc.constantFrom('t1', 't2', 't3'),
          service: fc.constantFrom('svc1', 'svc2'),
          slot: fc.nat(2),
          address: fc.constantFrom('10.0.1.11', '10.0.1.12', 'fd00::1'),
          isServing: fc.boolean(),
        }),
        { selector: ({ id }) => id },
      ),
    })
    .map(
      ({ id, isInternal, services, tasks }): NetworkView => ({
        network: anOverlay({ id: networkId(id), name: id, isInternal }),
        services: services.map((service) =>
          anEndpoint({
            serviceId: serviceId(service.id),
            name: service.name,
            aliases: [service.alias],
            mode: service.mode,
            vips: service.mode === 'vip' ? [service.vip] : [],
          }),
        ),
        tasks: tasks.map((task) =>
          aTaskEndpoint({
            taskId: taskId(task.id),
            serviceId: serviceId(task.service),
            slot: task.slot,
            addresses: [task.address],
            aliases: [`alias-${task.id}`],
            isServing: task.isServing,
          }),
        ),
      }),
    ),
  { selector: ({ network }) => network.id },
)

const names = ['web', 'api', 'all', 'tasks.web', 'tasks.all', 'web.1', 'api.2.t1', 't2', 'alias-t3']
const askers = ['10.0.1.11', '10.0.1.12', '10.0.1.77']

/** Everything that can be seen of a zone, but not in which order. */
function seen(zone: Zone): unknown {
  return askers.map((asker) =>
    zone.networksOf(asker).map((network) => [
      network.name,
      names.map((name) => {
        const found = network.find(name)
        if (found === undefined) return undefined
        const { ipv4, ipv6, services, tasks } = found
        return [
          ...[ipv4, ipv6].map((list) => list.map((bytes) => bytes.toString('hex')).sort()),
          services.map((service) => service.serviceId).sort(),
          tasks.map((task) => task.taskId).sort(),
        ]
      }),
    ]),
  )
}

t.test('changes one after the other lead where the whole leads', async (t) => {
  fc.assert(
    fc.property(fc.array(someViews, { minLength: 2, maxLength: 6 }), (history) => {
      const known = new KnownViews()
      const zone = new Zone()
      for (const views of history) {
        zone.apply(known.update(views))
        seen(zone)
      }
      const fresh = new Zone()
      fresh.apply(known.all())
      const copy = new Zone()
      copy.apply(zone.all())
      // Who has an address that two tasks claim depends on who came last, so claims are compared when there is one each.
      const last = (history.at(-1) ?? []).flatMap(({ tasks }) => tasks)
      const claims = new Set(last.map((task) => `${task.addresses} ${task.taskId}`))
      fc.pre(new Set([...claims].map((claim) => claim.split(' ')[0])).size === claims.size)
      t.same(seen(zone), seen(fresh))
      t.same(seen(copy), seen(fresh))
    }),
    { numRuns: 300 },
  )
})
