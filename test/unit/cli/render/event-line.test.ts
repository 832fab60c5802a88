// Lines and JSON of events, as Docker prints them.
import t from 'tap'
import { eventJson, eventLine } from '../../../../cli/render/event-line.ts'

const event = {
  atMs: 1_700_000_000_123,
  index: 7,
  type: 'container',
  action: 'die',
  actorId: 'abcdefghijklmnopqrstuvwxy',
  attributes: { name: 'web.1', exitCode: '1', 'x.id': 'zyxwvutsrqponmlkj', empty: '' },
}

t.test('a line has time, type, action, id and attributes in order', async (t) => {
  t.equal(
    eventLine(event, true),
    '2023-11-14T22:13:20.123000000Z container die abcdefghijkl (exitCode=1, name=web.1, x.id=zyxwvutsrqpo)\n',
  )
  t.match(eventLine(event, false), /die abcdefghijklmnopqrstuvwxy \(.*x\.id=zyxwvutsrqponmlkj\)/)
  t.equal(
    eventLine({ ...event, type: 'cluster', action: 'gap', actorId: '', attributes: {} }, true),
    '2023-11-14T22:13:20.123000000Z cluster gap\n',
  )
})

t.test('JSON is that of the API', async (t) => {
  t.match(eventJson(event), {
    status: 'die',
    id: event.actorId,
    Type: 'container',
    Action: 'die',
    Actor: { ID: event.actorId, Attributes: { name: 'web.1' } },
    scope: 'swarm',
    time: 1_700_000_000,
  })
  t.notMatch(eventJson({ ...event, type: 'node' }), { status: 'die' })
})
