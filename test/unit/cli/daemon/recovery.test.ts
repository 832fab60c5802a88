// When a manager may be made the only one, where it is then, and what is kept of it on disk.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { choosePlaceAgain } from '../../../../cli/daemon/membership.ts'
import { recoveryRefusal, recoveryReport, type Standing } from '../../../../cli/daemon/recovery.ts'
import { readSwarmState, writeSwarmState } from '../../../../cli/daemon/swarm-state.ts'
import { freeAddress } from '../../../support/free-ports.ts'

const lost: Standing = {
  hasState: true,
  hasQuorum: false,
  isAlone: false,
  others: ['r2', 'r3'],
  epoch: 1,
  count: { services: 1, tasks: 2, nodes: 3, newestAtMs: 4 },
}

t.test('a manager without a majority is made the only one, others only by force', async (t) => {
  t.equal(recoveryRefusal(lost, false), undefined)
  t.match(recoveryRefusal({ ...lost, hasQuorum: true }, false), {
    code: 'FAILED_PRECONDITION',
    message: /more than half of the managers can be reached.*node demote.*--force/,
  })
  t.equal(recoveryRefusal({ ...lost, hasQuorum: true }, true), undefined)
  t.match(recoveryRefusal({ ...lost, hasState: false }, true), {
    message: /never received the state of the swarm.*another manager/,
  })
})

t.test('the report tells what was there and who was lost', async (t) => {
  const one = { nodeId: 'm2', hostname: 'host-m2' }
  t.same(recoveryReport(lost, { epoch: 2, lost: [one] }), {
    epoch: 2,
    wasAlone: false,
    services: 1,
    tasks: 2,
    nodes: 3,
    newestAtMs: 4,
    lost: [one],
  })
  t.match(recoveryReport(lost, undefined), { epoch: 1, wasAlone: true, lost: [] })
})

t.test('a manager keeps its place, but for what a flag says', async (t) => {
  const [, port = ''] = (await freeAddress()).split(':')
  const present = { listenAddress: `0.0.0.0:${port}`, advertiseHost: '192.0.2.1' }
  t.same(await choosePlaceAgain(present, '', ''), present)
  t.same(await choosePlaceAgain(present, '', '192.0.2.7'), {
    listenAddress: present.listenAddress,
    advertiseHost: '192.0.2.7',
  })
  t.same(await choosePlaceAgain(present, '0.0.0.0', ''), {
    listenAddress: '0.0.0.0:2377',
    advertiseHost: '192.0.2.1',
  })
  await t.rejects(choosePlaceAgain(present, '', 'nonsense'), { code: 'INVALID_ARGUMENT' })
})

t.test('a recovery under way and managers that moved survive a restart', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tsswarm-state-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'state.json')
  const old = {
    listenAddress: '0.0.0.0:2377',
    advertiseHost: '10.0.0.1',
    managers: [],
    dataPathAddress: '',
  }
  writeSwarmState(file, { ...old, peers: [], moved: [], lostRaftIds: [] })
  t.match(readSwarmState(file), { moved: [], lostRaftIds: [] })
  const one = { raftId: 'r', nodeId: 'n', address: 'a:1', raftAddress: 'a:2', replaces: 'b:1 b:2' }
  const state = {
    ...old,
    peers: [],
    moved: [one],
    lostRaftIds: ['x'],
    recovery: { id: 'y' },
    advertiseHome: { interface: 'eth0', cidr: '10.0.0.1/24' },
  }
  writeSwarmState(file, state)
  t.same(readSwarmState(file), state)
})
