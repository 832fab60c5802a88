// What a node does next about the networks that a task was connected to.
import t from 'tap'
import {
  type ConnectionPhase,
  type ConnectionStatus,
  networkId,
  type TaskAttachment,
} from '../../../proto/objects/index.ts'
import { nextWiring, withConnection } from '../../../worker/task-connections.ts'

function attached(phase: ConnectionPhase | undefined, address = '10.0.1.5'): TaskAttachment {
  const given = { networkId: networkId('red'), addresses: address === '' ? [] : [address] }
  if (phase === undefined) return given
  return { ...given, connection: { phase, aliases: [], wished: [], err: '' } }
}

function status(state: ConnectionStatus['state'], address = '10.0.1.5'): ConnectionStatus {
  return { networkId: networkId('red'), addresses: [address], state, err: '' }
}

t.test('what is asked for and has an address is connected, once', async (t) => {
  t.match(nextWiring([attached('asked')], []), { kind: 'connect' })
  t.match(nextWiring([attached('connected')], []), { kind: 'connect' }, 'a restart forgot it')
  t.equal(nextWiring([attached('asked', '')], []), undefined)
  t.equal(nextWiring([attached(undefined)], []), undefined, 'it came with the container')
  t.equal(nextWiring([attached('asked')], [status('connected')]), undefined)
  t.equal(nextWiring([attached('asked')], [status('failed')]), undefined, 'not tried again')
  t.match(nextWiring([attached('asked')], [status('gone')]), { kind: 'connect' })
})

t.test('it stays until it is drained', async (t) => {
  t.equal(nextWiring([attached('leaving')], [status('connected')]), undefined)
  t.match(nextWiring([attached('drained')], [status('connected')]), { kind: 'disconnect' })
  t.match(nextWiring([attached('drained')], []), { kind: 'disconnect' })
  t.equal(nextWiring([attached('drained')], [status('gone')]), undefined)
  t.equal(nextWiring([attached('failed', '')], []), undefined)
})

t.test('what the cluster no longer knows of goes, also when the network came back', async (t) => {
  t.match(nextWiring([], [status('connected')]), { kind: 'disconnect', addresses: ['10.0.1.5'] })
  t.match(nextWiring([attached('asked', '10.0.1.9')], [status('connected')]), {
    kind: 'disconnect',
    addresses: ['10.0.1.5'],
  })
})

t.test(
  'statuses: the newest of a network, and none that the cluster does not ask for',
  async (t) => {
    const now = status('connected')
    t.same(withConnection([attached('asked')], [status('gone', '10.0.1.4')], now), [now])
    t.same(withConnection([], [], status('gone')), [])
  },
)
