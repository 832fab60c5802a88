// What happens to containers when their daemon dies, and when the host does.
import { execFile } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { SwarmError } from '../../proto/errors.ts'
import {
  type NetworkAttacher,
  noNetworkAttacher,
  type RestoredAttachment,
} from '../../worker/executor/network-attacher.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import { aDaemon, killDaemon } from '../support/executor-daemons.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  nothingLeft,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(180_000)

async function aHost(t: Test): Promise<ExecutorHost> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage())
  await executor.close()
  return host
}

const ticking = 'echo up; i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.05; done'

t.test('a killed daemon leaves its containers running, and the next adopts them', async (t) => {
  const host = await aHost(t)
  const daemon = await aDaemon(host, [
    aScript('runs', ticking),
    aScript('ends', 'until test -e /stop/now; do sleep 0.05; done; seq 1 2000; exit 9', {
      mounts: [{ kind: 'bind', source: host.scratchDir, target: '/stop' }],
    }),
    aContainer('waits', { name: 'created', args: ['sleep', '1000'], env: ['SECRET=hidden'] }),
  ])
  const helpers = async (): Promise<number> =>
    (await host.leftovers()).processes.filter((line) => line.includes('tsswarm spawn helper'))
      .length
  await killDaemon(daemon)
  await eventually(async () => (await helpers()) === 0, 'the spawn helper ends with it')
  await writeFile(`${host.scratchDir}/now`, '')
  await eventually(
    async () => (await readdir(`${host.dirs.runDir}/exits`)).includes('ends'),
    'one ends while no daemon runs',
  )

  const { executor } = await host.open()
  const states = new Map((await executor.list()).map(({ id, state }) => [id, state]))
  t.equal(states.get('runs')?.kind, 'running')
  t.equal(states.get('waits')?.kind, 'created')
  t.match(states.get('ends'), { kind: 'exited', exit: { exitCode: 9, oomKilled: false } })
  const lines = Array.from({ length: 2000 }, (_, index) => `${index + 1}`)
  t.same(await logLines(executor, 'ends'), lines, 'with all it wrote')
  const before = (await logLines(executor, 'runs')).length
  await eventually(
    async () => (await logLines(executor, 'runs')).length > before,
    'it writes on into the same log',
  )
  t.equal((await logLines(executor, 'runs'))[0], 'up', 'from its beginning')
  t.equal((await executor.start('waits', never)).state.kind, 'running')
  t.same((await executor.inspect('waits')).config.env, ['SECRET=hidden'])
  t.notMatch(
    await readFile(`${host.dirs.stateDir}/containers/waits/record.json`, 'utf8'),
    'hidden',
    'the environment is not on disk',
  )
  t.equal((await executor.stop('runs', { graceMs: 0 })).exitCode, 137)
  for (const { id } of await executor.list()) await executor.remove(id)
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test('a purge after a killed daemon leaves no trace at all', async (t) => {
  const host = await aHost(t)
  const mounts = [{ kind: 'volume' as const, name: 'data', target: '/data' }]
  const daemon = await aDaemon(host, [aScript('runs', ticking, { mounts })])
  await killDaemon(daemon)
  await host.purge()
  await eventually(
    async () => JSON.stringify(await host.leftovers()) === JSON.stringify(nothingLeft),
    'conmon has ended too',
  )
  await t.rejects(readdir(host.dirs.stateDir), { code: 'ENOENT' })
  await t.rejects(readdir(host.dirs.runDir), { code: 'ENOENT' })
})

t.test('a daemon killed amid creations leaves nothing half-made behind', async (t) => {
  const host = await aHost(t)
  const cut = Array.from({ length: 12 }, (_, index) =>
    aContainer(`cut-${index}`, {
      name: `cut-${index}`,
      args: ['sleep', '1000'],
      mounts: [{ kind: 'volume', target: '/data' }],
    }),
  )
  const daemon = await aDaemon(host, [aScript('first', ticking), ...cut])
  await killDaemon(daemon)
  const { executor, volumes } = await host.open()
  const found = await executor.list()
  t.ok(found.some(({ id }) => id === 'first'))
  const volumeCount = found.filter(({ id }) => id !== 'first').length
  t.equal((await volumes.list()).length, volumeCount, 'volumes only of what is whole')
  for (const { id, state } of found) {
    t.not(state.kind, 'exited', id)
    await executor.remove(id)
  }
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
  t.same(await volumes.list(), [])
})

t.test('networks are told which containers live on', async (t) => {
  const host = await aHost(t)
  const restored: RestoredAttachment[] = []
  const detached: string[] = []
  const attachment = {
    endpoints: [{ networkId: 'local', addresses: ['10.5.0.9/16'] }],
    ports: [],
    nameservers: ['10.5.0.1'],
    search: [],
    hosts: ['10.5.0.77 neighbour'],
  }
  const network: NetworkAttacher = {
    attach: async () => attachment,
    detach: async (id) => {
      detached.push(id)
    },
    connect: async ({ endpoint }) => ({
      ...attachment,
      endpoints: [...attachment.endpoints, endpoint],
      nameservers: ['127.0.0.11'],
    }),
    disconnect: async () => attachment,
    restore: async (live) => {
      restored.push(...live)
    },
  }
  const first = await host.open({ network })
  t.same(restored, [])
  const endpoints = [{ networkId: 'local', addresses: [], aliases: [] }]
  const attached = { kind: 'attached' as const, endpoints, ports: [] }
  for (const id of ['stays', 'goes']) {
    const script = `cat /etc/hosts /etc/resolv.conf; ${id === 'stays' ? ticking : 'true'}`
    await first.executor.create(aScript(id, script, { network: attached }), never)
    await first.executor.start(id, never)
  }
  await first.executor.wait('goes', never)
  await eventually(async () => detached.includes('goes'), 'an ended one is detached at once')
  await hasLogged(first.executor, 'stays', 'up')
  const lines = await logLines(first.executor, 'stays')
  for (const line of ['10.5.0.77 neighbour', '10.5.0.9\tstays', 'nameserver 10.5.0.1']) {
    t.ok(lines.includes(line), line)
  }
  await first.executor.close()
  const second = await host.open({ network })
  t.same(
    restored.map((one) => [one.request.containerId, one.attachment]),
    [['stays', attachment]],
  )
  await second.executor.remove('stays')
  t.ok(detached.includes('stays'))
})

t.test('a network that refuses leaves no container', async (t) => {
  const host = await aHost(t)
  const { executor } = await host.open()
  const ports = [{ protocol: 'tcp' as const, targetPort: 80, publishedPort: 80 }]
  const config = aContainer('refused', { network: { kind: 'attached', endpoints: [], ports } })
  for (let tries = 1; tries <= 20; tries++) {
    await t.rejects(executor.create(config, never), { code: 'UNSUPPORTED' })
    t.same(await executor.list(), [])
  }
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test('the end of a container whose creation failed is over before that is told', async (t) => {
  const host = await aHost(t)
  let detaching = 0
  let together = 0
  const network: NetworkAttacher = {
    ...noNetworkAttacher,
    attach: async () => {
      throw new SwarmError('UNAVAILABLE', 'no network today')
    },
    detach: async () => {
      detaching += 1
      together = Math.max(together, detaching)
      // Takes as long as several programs.
      for (let i = 0; i < 5; i++) await promisify(execFile)('true')
      detaching -= 1
    },
  }
  const { executor } = await host.open({ network })
  const config = aContainer('again', {
    network: { kind: 'attached', endpoints: [], ports: [] },
  })
  for (let tries = 1; tries <= 10; tries++) {
    await t.rejects(executor.create(config, never), { code: 'UNAVAILABLE' })
    t.equal(detaching, 0, 'nothing of it goes on')
  }
  t.equal(together, 1, 'its end and its removal take turns')
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test(
  'after a restart of the host containers have ended, their logs and codes are there',
  async (t) => {
    const host = await aHost(t)
    const { executor } = await host.open({ network: noNetworkAttacher })
    await executor.create(aScript('was-running', ticking), never)
    await executor.start('was-running', never)
    await hasLogged(executor, 'was-running', 'tick')
    await executor.create(aScript('had-ended', 'echo said; exit 4'), never)
    await executor.start('had-ended', never)
    await executor.wait('had-ended', never)
    await executor.close()
    // As if: all of the run folder is gone, and the records are of another start of the kernel.
    await rm(host.dirs.runDir, { recursive: true })
    const path = `${host.dirs.stateDir}/containers/was-running/record.json`
    const record = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...record, bootId: 'another' }))

    const again = await host.open()
    const exits = new Map((await again.executor.list()).map(({ id, state }) => [id, state]))
    t.match(exits.get('was-running'), {
      kind: 'exited',
      exit: { exitCode: -1, error: 'the host was restarted' },
    })
    t.match(exits.get('had-ended'), { kind: 'exited', exit: { exitCode: 4 } })
    t.same(await logLines(again.executor, 'had-ended'), ['said'])
    t.ok((await logLines(again.executor, 'was-running')).includes('tick 1'))
    // Nothing was really restarted here: what the former life left must end with the test.
    process.kill(record.process.pid, 'SIGKILL')
    await again.executor.remove('was-running')
    await eventually(
      async () => (await host.leftovers()).processes.every((line) => !line.includes('was-running')),
      'its conmon ends',
    )
  },
)

t.test(
  'should the run folder vanish under a daemon, its containers are ended and told',
  async (t) => {
    const host = await aHost(t)
    const { executor } = await host.open()
    await executor.create(aScript('bare', ticking), never)
    await executor.start('bare', never)
    await executor.close()
    await rm(host.dirs.runDir, { recursive: true })
    const again = await host.open()
    const { state } = await again.executor.inspect('bare')
    t.match(state, { kind: 'exited', exit: { exitCode: -1, error: /run-time folder/ } })
    await again.executor.remove('bare')
    await eventually(async () => {
      const left = await host.leftovers()
      return left.cgroups.length === 0 && left.processes.every((line) => !line.includes('bare'))
    }, 'nothing of it is left')
  },
)
