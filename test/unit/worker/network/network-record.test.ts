import fc from 'fast-check'
import t from 'tap'
import {
  applyEvent,
  type NetworkRecord,
  type RecordEvent,
  stateOf,
} from '../../../../worker/network/network-record.ts'
import { anEndpoint } from '../../../support/network-builders.ts'

const opened: RecordEvent = {
  kind: 'opened',
  bootId: 'boot-1',
  subnet: '172.30.0.0/24',
  transit: '100.127.255.254',
  mac: '02:00:00:00:00:ff',
}

const replay = (...events: readonly RecordEvent[]): NetworkRecord | undefined =>
  events.reduce<NetworkRecord | undefined>(applyEvent, undefined)

t.test('nothing happens before the record is opened', async (t) => {
  t.equal(replay({ kind: 'forwarding-ours' }), undefined)
  t.equal(replay({ kind: 'detached', containerId: 'c1' }), undefined)
  t.equal(replay({ kind: 'attached', endpoint: anEndpoint() }), undefined)
})

t.test('attached endpoints hold their address until they are detached', async (t) => {
  const endpoint = anEndpoint({ address: '172.30.0.1' })
  const attached = replay(opened, { kind: 'attached', endpoint })
  t.same(attached?.endpoints, [endpoint])
  t.equal(attached?.pool.nextOffset, 2)
  const detached = applyEvent(attached, { kind: 'detached', containerId: 'c1' })
  t.same(detached?.endpoints, [])
  t.same(detached?.pool.freed, [0xac1e0001])
  t.equal(applyEvent(detached, { kind: 'detached', containerId: 'c1' })?.pool.freed.length, 1)
})

t.test('who switched forwarding on is remembered until the record is opened anew', async (t) => {
  t.equal(replay(opened)?.forwardingIsOurs, false)
  t.equal(replay(opened, { kind: 'forwarding-ours' })?.forwardingIsOurs, true)
  t.equal(replay(opened, { kind: 'forwarding-ours' }, opened)?.forwardingIsOurs, false)
})

t.test('the state has the local network and the endpoints given', async (t) => {
  const record = replay(opened)
  if (record === undefined) throw new Error('no record')
  const endpoint = anEndpoint()
  t.match(stateOf(record, [endpoint], { overlay: undefined, vxlanPort: 4789 }), {
    transit: '100.127.255.254',
    networks: [{ id: 'local', subnet: '172.30.0.0/24' }],
    endpoints: [endpoint],
    forwardingIsOurs: false,
  })
})

t.test('a compacted record goes on as the events it replaces', async (t) => {
  const step = fc.record({ attach: fc.boolean(), id: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(40), (steps, cut) => {
      const events: RecordEvent[] = [opened]
      let record = replay(opened)
      for (const { attach, id } of steps) {
        const containerId = `c${id}`
        const isThere = record?.endpoints.some((endpoint) => endpoint.containerId === containerId)
        if (attach && isThere) continue
        const offset = record?.pool.nextOffset ?? 0
        const endpoint = anEndpoint({ containerId, address: `172.30.0.${offset}` })
        const event: RecordEvent = attach
          ? { kind: 'attached', endpoint }
          : { kind: 'detached', containerId }
        events.push(event)
        record = applyEvent(record, event)
      }
      const half = replay(...events.slice(0, cut))
      const rest = events.slice(cut)
      const whole =
        half === undefined
          ? replay(...events)
          : replay({ kind: 'compacted', record: half }, ...rest)
      t.same(whole, record)
    }),
  )
})
