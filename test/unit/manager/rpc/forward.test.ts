// Streams that only the leader can answer.
import t from 'tap'
import { leaderStreams, ManagerChannels } from '../../../../manager/rpc/forward.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import { ControlService } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { type NodeId, nodeId } from '../../../../proto/objects/index.ts'
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
