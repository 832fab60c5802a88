// A process that is one Raft member over registers and lists: real thread, log, flushes and mutual TLS, as in a daemon.
// Takes orders over its pipe; meant to be killed, stopped and cut off.
import type { RaftHandle } from '../../manager/raft/raft-handle.ts'
import { startRaftThread } from '../../manager/raft/raft-thread.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { encodeEntry, ObjectMachine } from './machine.ts'
import type { CallAnswer, MemberConfig, Order, Reply, RunningOrder, StateAnswer } from './orders.ts'

interface Running {
  readonly raft: RaftHandle
  readonly config: MemberConfig
}

const machine = new ObjectMachine()
let running: Running | undefined

function reply(message: Reply): void {
  process.send?.(message)
}

async function carryOut(order: Order): Promise<unknown> {
  if (order.kind === 'start') {
    running = { raft: await start(order.config), config: order.config }
    return undefined
  }
  if (running === undefined) throw new Error('not started')
  return await carryOutWith(running, order)
}

async function carryOutWith(running: Running, order: RunningOrder): Promise<unknown> {
  const { raft } = running
  switch (order.kind) {
    case 'call':
      return await call(running, order)
    case 'state':
      return await state(raft)
    case 'change':
      return await raft.changeMembers(order.steps)
    case 'transfer':
      return await raft.transferLeadership(order.to)
    case 'compact':
      return await raft.compact()
    case 'set-peers':
      return raft.setPeers(order.peers)
  }
}

async function start(config: MemberConfig): Promise<RaftHandle> {
  const raft = await startRaftThread({
    id: config.id,
    directory: config.directory,
    keyFile: `${config.directory}.key`,
    group: 'linearizability',
    listenAddress: config.listenAddress,
    credentials: config.credentials,
    peers: config.peers,
    ...(config.isFounder && { beginning: { kind: 'new' } }),
    snapshotLogBytes: config.snapshotLogBytes,
    stateMachine: machine,
    onLeadership: (leadership) => reply({ kind: 'leadership', leadership }),
    log: silentLogger,
  })
  raft.closed.catch((err) => reply({ kind: 'closed', message: `${err.code}: ${err.message}` }))
  return raft
}

async function call(
  { raft, config }: Running,
  { object, key, call }: Extract<RunningOrder, { kind: 'call' }>,
): Promise<CallAnswer> {
  if (call.kind === 'read') {
    if (!config.readsLocally || raft.leadership().role !== 'leader') {
      const outcome = await raft.readIndex()
      if (outcome.kind !== 'ready') return { kind: 'failed', leader: raft.leadership().leader }
    }
    return { kind: 'ok', result: machine.read(object, key) }
  }
  const outcome = await raft.propose(encodeEntry(key, call))
  switch (outcome.kind) {
    case 'committed': {
      const result = machine.resultAt(outcome.index)
      if (result === undefined) throw new Error(`entry ${outcome.index} was not applied here`)
      return { kind: 'ok', result }
    }
    case 'not-leader':
      return { kind: 'failed', leader: outcome.leader }
    case 'busy':
      return { kind: 'failed', leader: raft.leadership().leader }
    case 'lost':
      return { kind: 'unknown' }
  }
}

async function state(raft: RaftHandle): Promise<StateAnswer> {
  const { members, snapshotIndex } = await raft.status()
  return {
    index: machine.index,
    digest: machine.digest(),
    restores: machine.restores,
    wallMs: Date.now(),
    leadership: raft.leadership(),
    members,
    snapshotIndex,
  }
}

process.on('message', ({ id, order }: { readonly id: number; readonly order: Order }) => {
  carryOut(order).then(
    (result) => reply({ kind: 'done', id, result }),
    (err) => reply({ kind: 'refused', id, message: String(err) }),
  )
})
process.on('disconnect', () => process.exit(0))
