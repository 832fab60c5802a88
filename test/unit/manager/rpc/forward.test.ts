// Calls and streams that only the leader can answer.
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createRootCa } from '../../../../manager/ca/root-ca.ts'
import { leaderForwarder, leaderStreams, ManagerChannels } from '../../../../manager/rpc/forward.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import { ControlService } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { type NodeId, nodeId } from '../../../../proto/objects/index.ts'
import { managerCredentials } from '../../../support/raft-members.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

const self = nodeId('m1')

function aStreamer(leader: () => NodeId | undefined) {
  const clock = new VirtualClock()
  const locator = { selfNodeId: () => self, leaderNodeId: leader, controlAddress: () => undefined }
  const identity = {
    current: () => ({ certPem: '', keyPem: '', caPem: '' }),
    onChange: () => () => {},
  }
  const deps = { locator, identity, clock, random: systemRandom }
  const stream = leaderStreams(deps, new ManagerChannels(deps))
  const controller = new AbortController()
  const caller = { kind: 'local-admin', nodeId: self } as const
  const call = { caller, request: {}, signal: controller.signal }
  const read = async (here: () => AsyncIterable<unknown>): Promise<unknown[]> => {
    const all: unknown[] = []
    for await (const one of stream(ControlService.listNodes as never, call, here)) all.push(one)
    return all
  }
  return { clock, read }
}

async function* failing(before: readonly unknown[], err: Error): AsyncGenerator<unknown> {
  yield* before
  throw err
}

const notLeader = new SwarmError('NOT_LEADER', 'not any more')

t.test('a leader answers by itself, one that is leader no more is asked no longer', async (t) => {
  const { clock, read } = aStreamer(() => self)
  let asked = 0
  const reading = read(() => {
    asked += 1
    return asked < 3 ? failing([], notLeader) : failing([1, 2], new SwarmError('NOT_FOUND', 'gone'))
  })
  reading.catch(() => {})
  await clock.advance(2_000)
  await t.rejects(reading, { code: 'NOT_FOUND' }, 'what the handler refuses is passed on')
  t.equal(asked, 3)
})

t.test('what has begun is not begun again', async (t) => {
  const { clock, read } = aStreamer(() => self)
  let asked = 0
  const reading = read(() => {
    asked += 1
    return failing([1], notLeader)
  })
  reading.catch(() => {})
  await clock.advance(2_000)
  await t.rejects(reading, { code: 'NOT_LEADER' })
  t.equal(asked, 1)
})

t.test('without a leader it ends, and says so', async (t) => {
  let leader: NodeId | undefined
  const { clock, read } = aStreamer(() => leader)
  const reading = read(() => failing([], new Error('not here')))
  reading.catch(() => {})
  await clock.advance(11_000)
  await t.rejects(reading, { code: 'NO_LEADER' })
  // A leader whose address is not known yet is waited for, too.
  leader = nodeId('m2')
  const again = read(() => failing([], new Error('not here')))
  again.catch(() => {})
  await settle()
  await clock.advance(11_000)
  await t.rejects(again, { code: 'UNAVAILABLE' })
})

/** A manager that takes connections and never answers, as one does that is cut off. */
async function aSilentManager(t: Test): Promise<string> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

async function aForwarder(t: Test, leader: () => NodeId | undefined) {
  const address = await aSilentManager(t)
  const root = await createRootCa(Date.now())
  const credentials = await managerCredentials(root, self)
  const clock = new VirtualClock()
  const locator = { selfNodeId: () => self, leaderNodeId: leader, controlAddress: () => address }
  const identity = { current: () => credentials, onChange: () => () => {} }
  const deps = { locator, identity, clock, random: systemRandom }
  const channels = new ManagerChannels(deps)
  t.teardown(() => channels.close())
  const forward = leaderForwarder(deps, channels)
  const controller = new AbortController()
  const caller = { kind: 'local-admin', nodeId: self } as const
  const ask = (request: object): Promise<unknown> => {
    const call = { caller, request, signal: controller.signal }
    return forward(ControlService.createService as never, call, async () => 'done here')
  }
  return { clock, ask, controller }
}

t.test('a write that waits for a leader that is cut off goes to the next one', async (t) => {
  let leader: NodeId | undefined = nodeId('m2')
  const { clock, ask } = await aForwarder(t, () => leader)
  const asked = ask({ requestId: 'r1' })
  asked.catch(() => {})
  await clock.advance(1_000)
  // First nobody is known to lead, then this manager does.
  leader = undefined
  await clock.advance(500)
  leader = self
  await clock.advance(500)
  t.equal(await asked, 'done here', 'long before the deadline of the call')
})

t.test('what may not be asked again is waited for, and the caller may give up', async (t) => {
  let leader = nodeId('m2')
  const { clock, ask, controller } = await aForwarder(t, () => leader)
  const once = ask({ requestId: '' })
  const repeatable = ask({ requestId: 'r1' })
  for (const asked of [once, repeatable]) asked.catch(() => {})
  await clock.advance(500)
  controller.abort()
  await t.rejects(repeatable, { code: 'CANCELLED' })
  leader = self
  await clock.advance(2_000)
  await t.rejects(once, { code: 'CANCELLED' })
})
