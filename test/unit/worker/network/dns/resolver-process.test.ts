import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { getPriority, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import { runCommand } from '../../../../../proto/lib/command.ts'
import { silentLogger } from '../../../../../proto/lib/log.ts'
import { systemRandom } from '../../../../../proto/lib/random.ts'
import type { Stamp } from '../../../../../proto/objects/assignment.ts'
import { taskId } from '../../../../../proto/objects/ids.ts'
import type { NetworkView } from '../../../../../proto/objects/overlay.ts'
import { connectControl } from '../../../../../worker/network/dns/control-connection.ts'
import { listen } from '../../../../../worker/network/dns/listen.ts'
import {
  createResolverProcess,
  type ResolverProcess,
  type ResolverProcessOptions,
} from '../../../../../worker/network/dns/resolver-process.ts'
import {
  aClient,
  aFakeUpstream,
  anAnswer,
  anEndpoint,
  anOverlay,
  aQuery,
  askTcp,
  aTaskEndpoint,
  aView,
  headerOf,
} from '../../../../support/dns.ts'
import { freePort } from '../../../../support/free-ports.ts'
import { raisePriority } from '../../../../support/raise-priority.ts'
import { until, untilSeen } from '../../../../support/until.ts'
import { VirtualClock } from '../../../../support/virtual-clock.ts'

const asker = '127.1.0.7'
const network = anOverlay({ subnets: ['127.1.0.0/16'] })
const task = (n: number) =>
  aTaskEndpoint({ taskId: taskId(`t${n}`), slot: n, addresses: [`127.1.0.${n}`] })
const dnsrr = anEndpoint({ mode: 'dnsrr', vips: [] })
const viewOf = (...numbers: readonly number[]): NetworkView =>
  aView(numbers.map(task), [dnsrr], network)

const stampAt = (index: number): Stamp => ({ epoch: 1, index })

interface World {
  readonly dir: string
  readonly port: number
  /** Another daemon on the same folder. */
  daemon(changes?: Partial<ResolverProcessOptions>): ResolverProcess
  /** The addresses of `web`, in order. */
  web(): Promise<readonly string[]>
}

async function aWorld(t: Test): Promise<World> {
  const scratch = mkdtempSync(join(tmpdir(), 'tsswarm-dns-'))
  const dir = join(scratch, 'dns')
  const port = await freePort()
  const resolvConfFile = join(scratch, 'resolv.conf')
  writeFileSync(resolvConfFile, '')
  const daemons: ResolverProcess[] = []
  const daemon: World['daemon'] = (changes = {}) => {
    const made = createResolverProcess({
      ...{ dir, port, address: '127.0.0.1', resolvConfFile, run: runCommand, clock: systemClock },
      ...{ random: systemRandom, log: silentLogger },
      ...changes,
    })
    daemons.push(made)
    return made
  }
  t.teardown(async () => {
    for (const made of daemons) made.close()
    await daemon().purge()
    rmSync(scratch, { recursive: true, force: true })
  })
  const web = async (): Promise<readonly string[]> =>
    [...(await aClient(port, asker).resolve4('web'))].sort()
  return { dir, port, daemon, web }
}

const reached = (daemon: ResolverProcess, index: number): Promise<number> =>
  until(() => daemon.applied()?.index === index, `stamp ${index} is applied`)

const pidIn = (dir: string): number => Number(readFileSync(`${dir}/resolver.pid`, 'utf8'))

t.test('names are served as of the stamp that is told of', async (t) => {
  const { daemon, web } = await aWorld(t)
  const stamps: number[] = []
  const one = daemon({ onApplied: ({ index }) => stamps.push(index) })
  one.setViews([viewOf(1)], stampAt(1))
  t.equal(one.applied(), undefined)
  t.equal(await one.start(), 'started')
  await reached(one, 1)
  t.same(await web(), ['127.1.0.1'])
  one.setViews([viewOf(1, 2)], stampAt(2))
  await reached(one, 2)
  t.same(await web(), ['127.1.0.1', '127.1.0.2'])
  one.change([{ kind: 'task-gone', networkId: network.id, taskId: 't1' }], stampAt(3))
  await reached(one, 3)
  t.same(await web(), ['127.1.0.2'])
  one.setViews([viewOf(2)], stampAt(4))
  await reached(one, 4)
  t.same(stamps, [1, 2, 3, 4])
  t.match(await one.counts(), { queries: 3, limited: 0, dropped: 0 })
})

t.test('many names go in parts, and take effect together', async (t) => {
  const { daemon, web } = await aWorld(t)
  const one = daemon()
  await one.start()
  const many = Array.from({ length: 4_000 }, (_, i) =>
    aTaskEndpoint({
      taskId: taskId(`t${i}`),
      slot: i + 1,
      addresses: [`127.1.${1 + (i >> 8)}.${i & 255}`],
      isServing: i % 40 === 0,
    }),
  )
  one.setViews([aView(many, [dnsrr], network)], stampAt(9))
  await reached(one, 9)
  t.equal((await web()).length, 100)
})

t.test('it lives on without its daemon, and the next one adopts it', async (t) => {
  const { daemon, web, dir } = await aWorld(t)
  const one = daemon()
  await one.start()
  one.setViews([viewOf(1)], stampAt(1))
  await reached(one, 1)
  const pid = pidIn(dir)
  one.close()
  t.same(await web(), ['127.1.0.1'])
  const two = daemon()
  t.equal(await two.start(), 'adopted')
  t.equal(two.applied(), undefined, 'which has told it nothing yet')
  t.same(await web(), ['127.1.0.1'], 'and so it answers as before')
  two.setViews([viewOf(2)], stampAt(5))
  await reached(two, 5)
  t.same(await web(), ['127.1.0.2'])
  t.equal(pidIn(dir), pid)
})

/** As a daemon has it whose unit says so; before what a resolver gives itself. */
const early = -8

/** Whether this host lets this user's processes go before others. */
function mayGoFirst(): boolean {
  const usual = getPriority()
  try {
    setPriority(early)
    setPriority(usual)
    return true
  } catch {
    return false
  }
}

t.test('it goes before others for the processor', { skip: !mayGoFirst() }, async (t) => {
  const { daemon, dir } = await aWorld(t)
  await daemon().start()
  t.ok(getPriority(pidIn(dir)) < getPriority(), 'an asker gives up after seconds')
})

t.test(
  'nor does it come after a daemon that goes first itself',
  { skip: !mayGoFirst() },
  async (t) => {
    const usual = getPriority()
    t.teardown(() => raisePriority(usual))
    t.ok(raisePriority(early))
    const { daemon, dir } = await aWorld(t)
    await daemon({ version: 'old' }).start()
    t.equal(getPriority(pidIn(dir)), early)
    t.equal(await daemon({ version: 'new' }).start(), 'replaced')
    t.equal(getPriority(pidIn(dir)), early, 'nor its successor')
  },
)

t.test('another version takes over without a question lost', async (t) => {
  const { daemon, web, dir, port } = await aWorld(t)
  const one = daemon({ version: 'old' })
  await one.start()
  one.setViews([viewOf(1, 2, 3)], stampAt(1))
  await reached(one, 1)
  const pid = pidIn(dir)
  let isOver = false
  const outcomes: (number | string)[] = []
  const overTcp = async (): Promise<number> =>
    headerOf(await askTcp(port, aQuery('web'), { from: asker })).counts[1] ?? 0
  // Tries once, with 3 s to answer: what is lost is an error here.
  const overUdp = async (): Promise<number> => (await aClient(port, asker).resolve4('web')).length
  const askers = [overUdp, overTcp, overUdp, overTcp, overUdp].map(async (ask) => {
    while (!isOver) {
      await ask().then(
        (found) => outcomes.push(found),
        (err) => outcomes.push(err.message),
      )
    }
  })
  const two = daemon({ version: 'new' })
  t.equal(await two.start(), 'replaced')
  t.not(pidIn(dir), pid)
  await until(() => !existsSync(`/proc/${pid}`) || isZombie(pid), 'the old process ends')
  const before = outcomes.length
  await until(() => outcomes.length > before + 50, 'the new one answers')
  isOver = true
  await Promise.all(askers)
  t.same([...new Set(outcomes)], [3], `all of ${outcomes.length} questions are answered`)
  t.same((await web()).length, 3)
  two.setViews([viewOf(1)], stampAt(2))
  await reached(two, 2)
  t.same(await web(), ['127.1.0.1'])
})

function isZombie(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
}

t.test('one that does not come up in time is ended before the next is begun', async (t) => {
  const { dir, daemon } = await aWorld(t)
  // In place of the program, with its configuration, which it is known by.
  const hung = 'setInterval(() => {}, 1_000_000)'
  const run: ResolverProcessOptions['run'] = (argv, options) =>
    runCommand(
      [...argv.slice(0, argv.indexOf(process.execPath) + 1), '-e', hung, ...argv.slice(-1)],
      options,
    )
  const clock = new VirtualClock()
  let outcome = ''
  const settle = (text: string): void => {
    outcome = text
  }
  daemon({ run, clock })
    .start()
    .then(settle, ({ code }: { code: string }) => settle(code))
  while (outcome === '') {
    await clock.advance(500)
    await new Promise(setImmediate)
  }
  t.equal(outcome, 'UNAVAILABLE')
  const pidFile = join(dir, 'resolver.pid')
  // What has ended and waits for its parent has no arguments.
  const argumentsOf = (pid: string): string =>
    existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : ''
  const begun = (): string => (existsSync(pidFile) ? readFileSync(pidFile, 'utf8').trim() : '')
  // The time that is over is not this one, in which it still has to begin.
  await until(() => begun() !== '' && argumentsOf(begun()).includes(hung), 'it hangs')
  const pid = begun()
  t.equal(await daemon().start(), 'started')
  t.equal(argumentsOf(pid), '')
})

t.test('a question that waits for an answer from outside survives the change', async (t) => {
  const { daemon, port, dir } = await aWorld(t)
  const asked: Buffer[] = []
  // The second try is 1.5 s later, when another process has the sockets.
  const upstream = await aFakeUpstream((query) =>
    asked.push(query) === 1 ? [] : [anAnswer(query)],
  )
  t.teardown(() => upstream.close())
  writeFileSync(join(dir, '..', 'resolv.conf'), 'nameserver 127.0.0.1\n')
  const upstreamPort = upstream.port
  const one = daemon({ version: 'old', upstreamPort })
  await one.start()
  const waiting = aClient(port).resolve4('example.com')
  await until(() => asked.length === 1, 'the question is asked outside')
  t.equal(await daemon({ version: 'new', upstreamPort }).start(), 'replaced')
  t.same(await waiting, ['192.0.2.1'])
})

t.test('it is started again with all it had when it is killed', async (t) => {
  const { daemon, web, dir } = await aWorld(t)
  const one = daemon()
  await one.start()
  const ending = new AbortController()
  const running = one.run(ending.signal)
  one.setViews([viewOf(1)], stampAt(1))
  await reached(one, 1)
  one.setViews([viewOf(1, 2)], stampAt(2))
  await reached(one, 2)
  const pid = pidIn(dir)
  process.kill(pid, 'SIGKILL')
  const names = await untilSeen('another one has the names', async () => {
    const found = await web()
    return found.length === 2 && found
  })
  t.same(names, ['127.1.0.1', '127.1.0.2'])
  t.not(pidIn(dir), pid)
  one.setViews([viewOf(2)], stampAt(3))
  await reached(one, 3)
  t.same(await web(), ['127.1.0.2'])
  ending.abort()
  await running
})

t.test('one that hangs is killed and replaced', async (t) => {
  const { daemon, dir, web } = await aWorld(t)
  const one = daemon()
  await one.start()
  const pid = pidIn(dir)
  one.close()
  process.kill(pid, 'SIGSTOP')
  const two = daemon()
  t.equal(await two.start(), 'started')
  two.setViews([viewOf(1)], stampAt(1))
  await reached(two, 1)
  t.same(await web(), ['127.1.0.1'])
})

t.test('of two daemons the last one counts', async (t) => {
  const { daemon, web } = await aWorld(t)
  const [one, two] = [daemon(), daemon()]
  await one.start()
  t.equal(await two.start(), 'adopted')
  two.setViews([viewOf(2)], stampAt(2))
  await reached(two, 2)
  await t.rejects(one.counts(), { code: 'UNAVAILABLE' })
  t.same(await web(), ['127.1.0.2'])
})

t.test('it lives in the control groups it is given', async (t) => {
  const { daemon, dir } = await aWorld(t)
  // Any folder will do: what is written there is the same.
  const cgroup = `${dir}.cgroup`
  const one = daemon({ cgroupDirs: [`${cgroup}/a`, `${cgroup}/b`] })
  await one.start()
  for (const name of ['a', 'b'])
    t.match(readFileSync(`${cgroup}/${name}/cgroup.procs`, 'utf8'), /^\d+\n$/)
  await one.stop()
  rmSync(`${cgroup}/b`, { recursive: true })
  writeFileSync(`${cgroup}/b`, '')
  await t.rejects(one.start(), { code: 'HOST_UNFIT', message: /EEXIST/ })
})

t.test('a port that is taken is an error that says so', async (t) => {
  const { daemon, port } = await aWorld(t)
  const { udp, tcp } = await listen({ address: '127.0.0.1', port })
  await t.rejects(daemon().start(), { code: 'UNAVAILABLE', message: /EADDRINUSE/ })
  udp.close()
  tcp.close()
})

t.test('a missing data plane is an error that says so', async (t) => {
  const { daemon, dir } = await aWorld(t)
  const one = daemon({ dataPlaneFile: `${dir}.netns` })
  await t.rejects(one.start(), { code: 'FAILED_PRECONDITION', message: /no data plane/ })
})

t.test('stopped, it is gone; without one that is no error', async (t) => {
  const { daemon, web, dir } = await aWorld(t)
  const one = daemon()
  await one.stop()
  await one.start()
  await one.stop()
  await t.rejects(web())
  await one.purge()
  t.notOk(existsSync(dir))
})

t.test('requests that nobody understands are refused, and the resolver goes on', async (t) => {
  const { daemon, dir } = await aWorld(t)
  await daemon().start()
  const connection = await connectControl(dir, systemClock)
  if (connection === undefined) throw new Error('nobody listens')
  const nonsense: object[] = [{ kind: 'nonsense' }, { kind: 'apply' }]
  for (const request of nonsense) {
    const sent = connection.request(request as Parameters<typeof connection.request>[0])
    await t.rejects(sent, { code: 'FAILED_PRECONDITION' })
  }
  const failing = connection.request({ kind: 'replace', argv: ['/nonexistent'] })
  await t.rejects(failing, { message: /ENOENT/ })
  const ending = connection.request({ kind: 'replace', argv: ['/bin/true'] })
  await t.rejects(ending, { message: /successor ended/ })
  t.match(await connection.request({ kind: 'hello' }), { kind: 'welcome' })
  connection.close()
  await t.rejects(connection.request({ kind: 'hello' }), { code: 'UNAVAILABLE' })
})

t.test('a folder that others may enter is closed to them', async (t) => {
  const { daemon, dir } = await aWorld(t)
  const one = daemon()
  await one.start()
  await one.stop()
  chmodSync(dir, 0o755)
  await one.start()
  const { mode } = await import('node:fs').then(({ statSync }) => statSync(dir))
  t.equal(mode & 0o777, 0o700)
})
