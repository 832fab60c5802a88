// Refusals, joins and leaves, a full disk, a jumping clock. A lab of its own.
import { cpSync, mkdtempSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import { faketimeLibrary, hasFaketime, removeFaketimeFiles } from '../support/faketime.ts'
import { TestLab } from '../support/test-lab.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tsswarm-faults-'))
const clockFile = join(scratch, 'offset')
writeFileSync(clockFile, '+0\n')
t.setTimeout(900_000)
const lab = await TestLab.up('faults', {
  managers: 3,
  workers: 1,
  daemonEnv: {
    LD_PRELOAD: faketimeLibrary(),
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  },
})
t.teardown(async () => {
  await lab.down()
  rmSync(scratch, { recursive: true, force: true })
  removeFaketimeFiles(lab.daemonPids)
})

async function refused(host: string, text: RegExp, ...args: readonly string[]): Promise<string> {
  const result = await lab.try(host, ...args)
  if (result.code === 0) return `succeeded: ${result.stdout}`
  return text.test(result.stderr) ? '' : `exit ${result.code}: ${result.stderr}`
}

t.test('bad input gets one clear error and changes nothing', async (t) => {
  const create = ['service', 'create', '--detach', '--name', 'bad']
  const services = async (): Promise<string> => await lab.cli('m1', 'service', 'ls', '-q')
  const before = await services()
  t.equal(await refused('m1', /unknown flag: --nonsense/, ...create, '--nonsense', 'lab/hello'), '')
  t.equal(
    await refused('m1', /name/i, 'service', 'create', '--detach', '--name', '-x y', 'lab/hello'),
    '',
  )
  t.equal(await refused('m1', /replicas/, ...create, '--replicas', '-1', 'lab/hello'), '')
  t.equal(await refused('m1', /replicas/, ...create, '--replicas', '9999999', 'lab/hello'), '')
  t.equal(
    await refused('m1', /constraint/i, ...create, '--constraint', 'node.role ~ x', 'lab/hello'),
    '',
  )
  t.equal(
    await refused(
      'm1',
      /already part of a swarm/,
      'swarm',
      'init',
      '--advertise-addr',
      lab.address('m1'),
    ),
    '',
  )
  t.equal(await refused('w1', /not a swarm manager/, 'node', 'ls'), '')
  t.equal(await refused('m1', /--force/, 'swarm', 'leave'), '')
  t.equal(await refused('m1', /nope/, 'service', 'ps', 'nope'), '')
  t.equal(await services(), before)
  const orphan = await runCommand([
    process.execPath,
    'dist/tsswarm.js',
    '-H',
    '/run/none.sock',
    'node',
    'ls',
  ])
  t.equal(orphan.code, 1)
  t.match(orphan.stderr, /daemon/)
})

t.test('impossible resources stay pending, and say why', async (t) => {
  await lab.cli(
    'm1',
    'service',
    'create',
    '--detach',
    '--name',
    'huge',
    '--reserve-memory',
    '900G',
    'lab/hello',
  )
  const task = await lab.until('the reason', async () =>
    (await lab.tasks('m1', 'huge')).find(({ error }) => error !== ''),
  )
  t.match(task.error, /insufficient resources on 4 nodes/)
  t.match(await lab.cli('m1', 'service', 'explain', 'huge'), /m1/)
  await lab.cli('m1', 'service', 'rm', 'huge')
})

t.test(
  'an image that does not exist, a mount source that is missing: rejected with the reason',
  async (t) => {
    await lab.cli(
      'm1',
      'service',
      'create',
      '--detach',
      '--name',
      'noimage',
      '--restart-condition',
      'none',
      'lab/nothing-like-it',
    )
    const task = await lab.until('rejected', async () =>
      (await lab.tasks('m1', 'noimage')).find(({ state }) => state.startsWith('Rejected')),
    )
    t.match(task.error, /No such image/)
    await lab.cli(
      'm1',
      'service',
      'create',
      '--detach',
      '--name',
      'nosource',
      '--restart-condition',
      'none',
      '--mount',
      'type=bind,source=/not/there,target=/x',
      'lab/hello',
    )
    const bind = await lab.until('rejected', async () =>
      (await lab.tasks('m1', 'nosource')).find(({ state }) => state.startsWith('Rejected')),
    )
    t.match(bind.error, /bind source path does not exist: \/not\/there/)
    await lab.cli('m1', 'service', 'rm', 'noimage', 'nosource')
  },
)

t.test('a wrong or foreign token is refused, and the host stays outside', async (t) => {
  const token = await lab.cli('m1', 'swarm', 'join-token', '-q', 'worker')
  await lab.cli('w1', 'swarm', 'leave')
  const at = `${lab.address('m1')}:2377`
  const flip = (text: string, index: number): string =>
    text.slice(0, index) + (text[index] === 'a' ? 'b' : 'a') + text.slice(index + 1)
  t.equal(await refused('w1', /token/, 'swarm', 'join', '--token', 'nonsense', at), '')
  t.equal(await refused('w1', /fingerprint/, 'swarm', 'join', '--token', flip(token, 12), at), '')
  t.equal(
    await refused('w1', /token/, 'swarm', 'join', '--token', flip(token, token.length - 1), at),
    '',
  )
  await lab.cli('m1', 'swarm', 'join-token', '--rotate', '-q', 'worker')
  t.equal(await refused('w1', /token/, 'swarm', 'join', '--token', token, at), '', 'rotated away')
  t.match(await lab.cli('w1', 'info'), /inactive/)
})

t.test('eight joins and leaves in a row', async (t) => {
  const at = `${lab.address('m1')}:2377`
  for (let round = 0; round < 8; round++) {
    const role = round % 4 === 3 ? 'manager' : 'worker'
    const token = await lab.cli('m1', 'swarm', 'join-token', '-q', role)
    await lab.cli('w1', 'swarm', 'join', '--token', token, at)
    await lab.until(`ready in round ${round}`, async () =>
      (await lab.look('m1', 'node', 'ls', '--filter', 'name=w1', '--format', '{{.Status}}'))
        .split('\n')
        .includes('Ready'),
    )
    if (role === 'manager') {
      await lab.until(
        'four managers',
        async () =>
          (await lab.look('w1', 'node', 'ls', '--format', '{{.ManagerStatus}}'))
            .split('\n')
            .filter((s) => s !== '').length === 4,
      )
    }
    await lab.cli('w1', 'swarm', 'leave', ...(role === 'manager' ? ['--force'] : []))
    await lab.until(
      'down',
      async () =>
        !(await lab.look('m1', 'node', 'ls', '--filter', 'name=w1', '--format', '{{.Status}}'))
          .split('\n')
          .includes('Ready'),
    )
    const ids = (await lab.cli('m1', 'node', 'ls', '-q', '--filter', 'name=w1'))
      .split('\n')
      .filter((id) => id !== '')
    await lab.cli('m1', 'node', 'rm', '--force', ...ids)
  }
  t.equal((await lab.cli('m1', 'node', 'ls', '-q')).split('\n').length, 3)
  const token = await lab.cli('m1', 'swarm', 'join-token', '-q', 'worker')
  await lab.cli('w1', 'swarm', 'join', '--token', token, at)
})

/** The folder of Raft of a manager, moved to a small disk of its own; resolves when the manager is back. */
async function ontoSmallDisk(t: Test, host: string): Promise<string> {
  const raft = join(lab.paths(host).stateDir, 'swarm/raft')
  const aside = join(scratch, `raft-${host}`)
  await lab.stop(host)
  cpSync(raft, aside, { recursive: true })
  const mounted = await runCommand([
    ...['mount', '-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', raft],
  ])
  t.equal(mounted.code, 0, mounted.stderr)
  t.teardown(() => runCommand(['umount', '-l', raft]))
  cpSync(aside, raft, { recursive: true })
  rmSync(aside, { recursive: true, force: true })
  await lab.start(host)
  await untilReachable(host)
  return raft
}

async function offSmallDisk(host: string, raft: string): Promise<void> {
  const aside = join(scratch, `raft-${host}`)
  await lab.stop(host)
  cpSync(raft, aside, { recursive: true })
  await runCommand(['umount', raft])
  cpSync(aside, raft, { recursive: true })
  await lab.start(host)
  await untilReachable(host)
}

async function untilReachable(host: string): Promise<void> {
  await lab.until(`${host} is a manager again`, async () => {
    const list = await lab.look('m1', 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}')
    return new RegExp(`^${host} (Reachable|Leader)$`, 'm').test(list)
  })
}

/** Fills the disk until the kernel refuses, and proves that it is full. */
async function fill(t: Test, directory: string): Promise<void> {
  const dd = ['dd', 'if=/dev/zero', `of=${join(directory, 'filler')}`, 'bs=1M']
  const filled = await runCommand(dd, { timeoutMs: 60_000 })
  t.not(filled.code, 0)
  t.match(filled.stderr, /No space left on device/)
  t.equal(statfsSync(directory).bavail, 0, 'no block is free')
}

/** Services whose name begins so, as `host` lists them. */
async function servicesOf(host: string, prefix: string): Promise<readonly string[]> {
  const names = (await lab.cli(host, 'service', 'ls', '--format', '{{.Name}}')).split('\n')
  return names.filter((name) => name.startsWith(prefix))
}

async function withFullDisk(t: Test, victim: string, raft: string): Promise<void> {
  const formerly = lab.log(victim).length
  const pid = lab.pid(victim)
  t.ok(pid !== undefined, `${victim} runs`)
  await fill(t, raft)
  const prefix = `full-${victim}-`
  // 1.1 MB in all, more than a log writes ahead: until then it goes on in what it has.
  const pads = Array.from({ length: 24 }, (_, i) => `pad${i}=${'x'.repeat(4000)}`)
  const pad = pads.flatMap((label) => ['--label', label])
  const create = ['service', 'create', '--detach', '--quiet', '--replicas', '0', ...pad]
  for (let n = 0; n < 12; n++)
    await lab.cli('m1', ...create, '--name', `${prefix}${n}`, 'lab/hello')
  t.equal((await servicesOf('m1', prefix)).length, 12, 'all acknowledged writes are there')
  const noticed = await lab.until(`${victim} has noticed`, async () =>
    lab
      .log(victim)
      .slice(formerly)
      .find((line) => /no space|disk is full|ENOSPC/i.test(line)),
  )
  t.match(noticed, /"level":(40|50|60)/)
  await lab.until(`${victim} has ended`, async () => lab.pid(victim) !== pid)
  await lab.until('another one leads', async () => (await lab.leader('m1')) !== victim)
  rmSync(join(raft, 'filler'))
  const caughtUp = async (): Promise<boolean> => {
    // Its daemon may be ending still: then this does nothing, and the next look starts it.
    await lab.start(victim)
    return (await servicesOf(victim, prefix)).length === 12
  }
  await lab.until('it has caught up', caughtUp, 90_000)
  await lab.cli('m1', 'service', 'rm', ...(await servicesOf('m1', prefix)))
  await untilReachable(victim)
}

t.test(
  'a full disk under a manager: the others go on, it comes back when there is room',
  async (t) => {
    const small = new Map<string, string>()
    for (const host of ['m2', 'm3']) small.set(host, await ontoSmallDisk(t, host))
    if ((await lab.leader('m2')) === 'm1') {
      await lab.stop('m1')
      await lab.until('one with a small disk leads', async () => (await lab.leader('m2')) !== 'm1')
      await lab.start('m1')
      await untilReachable('m1')
    }
    const leader = await lab.leader('m1')
    t.ok(small.has(leader), `${leader} leads, on a small disk`)
    await withFullDisk(t, leader, small.get(leader) ?? '')
    const next = await lab.leader('m1')
    const follower = [...small.keys()].find((host) => host !== next) ?? ''
    await withFullDisk(t, follower, small.get(follower) ?? '')
    for (const [host, raft] of small) await offSmallDisk(host, raft)
  },
)

/** All clocks of the daemons jump at once. The library reads the file at every look at the clock: it is replaced whole. */
function jump(seconds: string): void {
  const next = join(scratch, 'next')
  writeFileSync(next, `${seconds}\n`)
  renameSync(next, clockFile)
}

/** How far the clock of each node is off: its agent stamps the states of its tasks. */
async function clocksOff(): Promise<ReadonlyMap<string, number>> {
  const each = ['--replicas', '4', '--replicas-max-per-node', '1']
  await lab.cli('m1', 'service', 'create', '--quiet', '--name', 'probe', ...each, 'lab/hello')
  const views = await lab.taskViews('m1', 'probe')
  const nowMs = Date.now()
  await lab.cli('m1', 'service', 'rm', 'probe')
  const off = new Map(
    views.map(({ task }) => [task?.nodeId ?? '', (task?.stateAtMs ?? 0) - nowMs] as const),
  )
  if (off.size !== 4) throw new Error(`${off.size} nodes instead of 4 ran a task of the probe`)
  return off
}

t.test('the clock jumps: no node is lost, no task is replaced, writes go on', async (t) => {
  await lab.cli('m1', 'service', 'create', '--name', 'clock', '--replicas', '4', 'lab/hello')
  await lab.untilRunning('m1', 'clock', 4)
  const view = async (): Promise<string> => {
    const nodes = '{{.Hostname}} {{.Status}}'
    const tasks = await lab.tasks('m1', 'clock')
    return [
      await lab.look('m1', 'node', 'ls', '--format', nodes),
      ...tasks.map(
        ({ id, node, desired, state }) => `${id} ${node} ${desired} ${state.split(' ')[0]}`,
      ),
    ].join('\n')
  }
  const before = await view()
  t.equal(before.match(/ Ready/g)?.length, 4)
  t.equal(before.match(/ Running Running$/gm)?.length, 4)
  for (const host of ['m1', 'm2', 'm3', 'w1']) {
    t.ok(hasFaketime(lab.pid(host) ?? 0), `${host} has the library`)
  }
  let kept = 0
  for (const offset of ['+36000', '-1800', '+86400', '+0']) {
    const leader = await lab.leader('m1')
    jump(offset)
    await lab.cli('m1', 'service', 'update', '--detach', '--label-add', `offset=${offset}`, 'clock')
    const stamp = await lab.cli('m1', 'service', 'inspect', '--format', '{{.UpdatedAt}}', 'clock')
    t.ok(Math.abs(Date.parse(stamp) - Date.now()) < 30_000, `the time of the cluster: ${stamp}`)
    for (const [node, movedMs] of await clocksOff()) {
      const isMoved = Math.abs(movedMs - Number(offset) * 1000) < 30_000
      t.ok(isMoved, `the clock of ${node} is off by ${offset} s: ${movedMs} ms`)
    }
    // Longer than a node may be silent, so that one whose heartbeats no longer count is seen to be down.
    const looks = await lab.steady(`at ${offset}`, 4_000, async () => {
      const now = await view()
      return now === before ? '' : `${now}\ninstead of\n${before}`
    })
    t.ok(looks > 1, `${looks} looks at ${offset}`)
    if ((await lab.leader('m1')) === leader) kept += 1
  }
  // A busy machine may stall a leader until it is missed, but hardly at each of them.
  t.ok(kept > 0, `the same one led on in ${kept} of 4 jumps`)
  await lab.cli('m1', 'service', 'rm', 'clock')
})
