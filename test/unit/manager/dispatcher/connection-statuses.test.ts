// What a node's word makes of the networks that a task was connected to.
import t from 'tap'
import { withConnections } from '../../../../manager/dispatcher/connection-statuses.ts'
import {
  type ConnectionPhase,
  type ConnectionStatus,
  networkId,
  type TaskAttachment,
} from '../../../../proto/objects/index.ts'

const red = networkId('red')

function attached(phase: ConnectionPhase): TaskAttachment {
  const connection = { phase, aliases: ['a'], wished: [], err: '' }
  return { networkId: red, addresses: ['10.0.1.5'], connection }
}

function after(phase: ConnectionPhase, state: ConnectionStatus['state'], address = '10.0.1.5') {
  const before = [{ networkId: networkId('own'), addresses: ['10.0.2.2'] }, attached(phase)]
  const status = { networkId: red, addresses: [address], state, err: 'why' }
  const next = withConnections(before, [status])
  return next === before ? 'same' : next.slice(1)
}

t.test('a word about it moves it on, and only from where it fits', async (t) => {
  t.match(after('asked', 'connected'), [{ connection: { phase: 'connected', err: '' } }])
  t.match(after('asked', 'failed'), [
    { addresses: [], connection: { phase: 'failed', err: 'why' } },
  ])
  t.equal(after('asked', 'gone'), 'same')
  t.same(after('drained', 'gone'), [])
  t.same(after('drained', 'failed'), [])
  t.equal(after('drained', 'connected'), 'same')
  for (const phase of ['connected', 'leaving', 'failed'] as const) {
    t.equal(after(phase, 'gone'), 'same', phase)
  }
})

t.test('a word about another address is of an earlier connection', async (t) => {
  t.equal(after('asked', 'connected', '10.0.1.6'), 'same')
  t.equal(after('drained', 'gone', '10.0.1.6'), 'same')
  const own = [{ networkId: red, addresses: ['10.0.1.5'] }]
  const status = { networkId: red, addresses: ['10.0.1.5'], state: 'gone' as const, err: '' }
  t.equal(withConnections(own, [status]), own, 'of its spec it keeps all')
})
