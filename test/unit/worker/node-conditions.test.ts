import t from 'tap'
import {
  boundConditions,
  conditionMessageMax,
  conditionsMax,
  type NodeCondition,
} from '../../../proto/objects/index.ts'
import { NodeConditions } from '../../../worker/node-conditions.ts'

const port = (number: number): NodeCondition => ({
  code: 'PORT_TAKEN',
  message: `port ${number} is taken`,
})

t.test('each source replaces its own, and only changes are told', async (t) => {
  const conditions = new NodeConditions()
  let changes = 0
  const stop = conditions.onChange(() => {
    changes += 1
  })
  conditions.set('ports', [])
  t.equal(changes, 0)
  conditions.set('ports', [port(80)])
  conditions.set('ports', [port(80)])
  t.equal(changes, 1)
  conditions.set('peers', [{ code: 'PEER_UNREACHABLE', message: 'n2 does not answer' }])
  t.match(conditions.list(), [{ code: 'PEER_UNREACHABLE' }, { code: 'PORT_TAKEN' }])
  conditions.set('ports', [port(81)])
  t.match(conditions.list(), [{}, { message: 'port 81 is taken' }])
  conditions.set('peers', [])
  t.strictSame(conditions.list(), [port(81)])
  conditions.set('ports', [])
  t.strictSame(conditions.list(), [])
  t.equal(changes, 5)
  stop()
  conditions.set('ports', [port(80)])
  t.equal(changes, 5)
})

t.test('as many as fit are kept as they are, one more is counted', async (t) => {
  const full = Array.from({ length: conditionsMax }, (_, i) => port(i))
  t.strictSame(boundConditions(full), full)
  t.strictSame(boundConditions([...full, port(0)]), full, 'the same twice counts once')
  const cut = boundConditions([...full, port(99)])
  t.equal(cut.length, conditionsMax)
  t.strictSame(cut.at(-1), { code: 'MORE', message: '2 more problems are not shown' })
  t.strictSame(cut.slice(0, -1), full.slice(0, -1))
})

t.test('texts are one bounded line, codes are capitals', async (t) => {
  const exact = 'x'.repeat(conditionMessageMax)
  const messages = [exact, `${exact}y`, 'one\n\u001b[31mtwo\n'].map((message) => ({
    ...{ code: 'a PORT_TAKEN\n', message },
  }))
  const bounded = boundConditions(messages)
  t.equal(bounded[0]?.message, exact)
  t.equal(bounded[1]?.message, `${exact.slice(1)}…`)
  t.equal(bounded[2]?.message, 'one [31mtwo')
  t.equal(bounded[2]?.code, 'PORT_TAKEN')
})
