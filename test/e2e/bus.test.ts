// The bus of a real cluster: nats-servers that run with their daemons and end with them, are killed, and cannot run; events with and without.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { inHost } from '../../cli/lab/topology.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { TestLab } from '../support/test-lab.ts'

t.setTimeout(600_000)
const lab = await TestLab.up('bus', { managers: 3, workers: 1 })
t.teardown(() => lab.down())
const managers = ['m1', 'm2', 'm3']
const hosts = [...managers, 'w1']

function commandLine(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** Process id of the nats-server of a host; undefined when it has none. */
function serverOf(host: string): number | undefined {
  const conf = `${lab.paths(host).runDir}/bus/nats.conf`
  try {
    const pid = readFileSync(`${lab.paths(host).runDir}/bus/pid`, 'utf8')
    return commandLine(pid).includes(conf) ? Number(pid) : undefined
  } catch {
    return undefined
  }
}

async function listeners(host: string): Promise<string> {
  return (await lab.run(host, 'ss', '-H', '-lnt')).stdout
}

/** The host hears the bus of one of these managers. */
async function hears(host: string, from: readonly string[] = managers): Promise<boolean> {
  const { busServerNodeId } = await lab.daemonInfo(host)
  if (busServerNodeId === '') return false
  for (const name of from) {
    const info = await lab.daemonInfo(name)
    if (info.nodeId === busServerNodeId) return true
  }
  return false
}

async function allHear(): Promise<void> {
  for (const host of hosts) await lab.until(`${host} hears the bus`, () => hears(host))
}

t.test('every manager has a server, every node hears one, and workers have none', async (t) => {
  for (const host of managers) {
    await lab.until(`${host} listens`, async () => {
      const ports = await listeners(host)
      return serverOf(host) !== undefined && ports.includes(':4222') && ports.includes(':6222')
    })
  }
  t.notMatch(await listeners('w1'), /:4222|:6222/)
  await allHear()
  for (const host of managers) {
    const { description } = await lab.daemonInfo(host)
    t.strictSame(description?.conditions, [])
  }
  t.match(await lab.cli('m1', 'info'), / Bus: that of /)
})

/** Outer addresses of the nodes to which a host's overlay leads. */
async function ways(host: string): Promise<readonly string[]> {
  const namespace = `${lab.paths(host).runDir}/network/dataplane.netns`
  const shown = await runCommand(['nsenter', `--net=${namespace}`, 'bridge', 'fdb', 'show'])
  return [...new Set([...shown.stdout.matchAll(/ dst ([\d.]+) /g)].flatMap(([, dst]) => dst ?? []))]
}

/** Every host but those leads to exactly the others. How long that took. */
async function allLead(what: string, without: readonly string[] = []): Promise<number> {
  const startMs = systemClock.monotonicMs()
  const there = hosts.filter((host) => !without.includes(host))
  for (const host of there) {
    const others = there.filter((other) => other !== host).map((other) => lab.address(other))
    await lab.until(`${what}: ${host} leads to ${others.join(', ')}`, async () => {
      const found = await ways(host)
      return found.length === others.length && others.every((address) => found.includes(address))
    })
  }
  return systemClock.monotonicMs() - startMs
}

t.test('how nodes are reached gets to the kernel of every node, and follows them', async (t) => {
  await allLead('at first')
  await lab.readdress('w1', 77)
  t.comment(`${Math.round(await allLead('after a move'))} ms after w1 moved all lead there`)
})

t.test('each server knows the others, and nobody else is let in', async (t) => {
  for (const host of managers) {
    const config = readFileSync(`${lab.paths(host).runDir}/bus/nats.conf`, 'utf8')
    t.equal(config.match(/nats-route:/g)?.length, 2, `${host} has two routes`)
    t.equal(config.match(/\{user: /g)?.length, hosts.length)
    const established = await lab.run(host, 'ss', '-H', '-nt', 'state', 'established')
    const routes = established.stdout.split('\n').filter((line) => line.includes(':6222'))
    t.ok(routes.length >= 2, `${host}: ${routes.length} connections between servers`)
  }
})

t.test('a server that is killed is started again, and all hear the bus again', async (t) => {
  for (const host of managers) {
    const before = serverOf(host)
    if (before === undefined) throw new Error(`${host} has no server`)
    process.kill(before, 'SIGKILL')
    const after = await lab.until('another server', async () => {
      const now = serverOf(host)
      return now !== before && now
    })
    t.not(after, before)
  }
  await allHear()
})

t.test('a server ends with its daemon, and comes back with it', async (t) => {
  const before = serverOf('m3')
  await lab.kill('m3')
  await lab.until('the server is gone', async () => before !== undefined && !isAlive(before))
  await lab.start('m3')
  await lab.until('a server runs again', async () => serverOf('m3') !== undefined)
  const stopped = serverOf('m3')
  await lab.stop('m3')
  t.notOk(stopped !== undefined && isAlive(stopped), 'a stop in order ends it too')
  await lab.start('m3')
  await allHear()
})

function isAlive(pid: number): boolean {
  return commandLine(String(pid)).length > 1
}

const format = '{{.Type}} {{.Action}} {{.Actor.ID}}'

async function eventsOf(host: string, ...filters: readonly string[]): Promise<readonly string[]> {
  const flags = filters.flatMap((filter) => ['--filter', filter])
  const range = ['--since', '1h', '--until', '0s', '--format', format]
  return (await lab.cli(host, 'events', ...range, ...flags)).split('\n')
}

/** `tsswarm events` on a host, running. */
function follow(host: string, ...args: readonly string[]) {
  const { program, paths, record } = { ...lab.deps, paths: lab.paths(host), record: lab.record }
  const [file = '', ...argv] = inHost(record.name, host, [...program, 'events', ...args])
  const env = { ...process.env, TSSWARM_HOST: paths.socket }
  const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  return {
    lines: (): readonly string[] => text.split('\n').filter((line) => line !== ''),
    stop: async (): Promise<number | null> => {
      child.kill('SIGINT')
      return await ended
    },
  }
}

t.test('events are the same on every manager, in one order', async (t) => {
  const following = managers.map((host) => follow(host, '--since', '1h', '--format', format))
  await lab.cli('m2', 'service', 'create', '--name', 'hello', '--replicas', '3', 'lab/hello')
  await lab.cli('m1', 'service', 'scale', 'hello=1')
  const id = await lab.cli('m1', 'service', 'inspect', '--format', '{{.ID}}', 'hello')
  await lab.cli('m3', 'service', 'rm', 'hello')
  const last = `service remove ${id}`
  for (const one of following) {
    await lab.until('the last event', async () => one.lines().includes(last))
  }
  const own = following.map((one) => {
    const lines = one.lines()
    const about = lines.slice(lines.indexOf(`service create ${id}`))
    return about.slice(0, about.indexOf(last) + 1)
  })
  t.strictSame(own[1], own[0])
  t.strictSame(own[2], own[0])
  for (const word of ['container create', 'container start', 'container die', 'service update']) {
    t.ok(
      own[0]?.some((line) => line.startsWith(word)),
      word,
    )
  }
  for (const one of following) t.equal(await one.stop(), 0)
  t.strictSame(
    (await eventsOf('m2', `service=${id}`, 'type=service')).map((line) => line.split(' ')[1]),
    ['create', 'update', 'remove'],
  )
  t.match(await lab.try('w1', 'events'), { code: 1, stderr: /not a swarm manager/ })
  t.match(await lab.try('m1', 'events', '--filter', 'colour=red'), {
    code: 1,
    stderr: /invalid filter "colour"/,
  })
})

/** Holds the port of a host's bus as soon as it is free, so that its server cannot run. */
function occupy(host: string): () => Promise<void> {
  const script =
    'const s=require("net").createServer();s.on("error",()=>setTimeout(l,1));const l=()=>s.listen(4222);l()'
  const [file = '', ...argv] = inHost(lab.record.name, host, [process.execPath, '-e', script])
  const child = spawn(file, argv, { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.on('close', resolve))
  return async () => {
    child.kill('SIGKILL')
    await ended
  }
}

t.test('with the bus dead everywhere the cluster goes on, and says so', async (t) => {
  const release = managers.map(occupy)
  t.teardown(() => Promise.all(release.map((end) => end())))
  const isDown = async (host: string): Promise<boolean> => {
    const pid = serverOf(host)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    const { description } = await lab.daemonInfo(host)
    return (
      description?.conditions.some(
        ({ code, message }) => code === 'BUS_DOWN' && message.includes('address already in use'),
      ) ?? false
    )
  }
  for (const host of managers) await lab.until(`${host} has no bus`, () => isDown(host), 60_000)
  const following = follow('m2', '--format', format, '--filter', 'type=service')
  await lab.until('no node hears anything', async () => !(await hears('w1')))
  const create = ['service', 'create', '--name', 'quiet', '--replicas', '2', 'lab/hello']
  await lab.cli('m1', ...create)
  const id = await lab.cli('m1', 'service', 'inspect', '--format', '{{.ID}}', 'quiet')
  await lab.readdress('w1', 78)
  t.comment(`${Math.round(await allLead('without a bus'))} ms without a bus`)
  await lab.until('the event', async () => following.lines().includes(`service create ${id}`))
  t.equal(await following.stop(), 0)
  const listed = await lab.until('node ls names the problem', async () => {
    const { stdout, stderr } = await lab.try('m1', 'node', 'ls')
    const isNamed = managers.every((host) => stderr.includes(`node ${host}: the bus`))
    return isNamed && /PROBLEMS[\s\S]*BUS_DOWN/.test(stdout) && stderr
  })
  t.match(listed, /does not run .*address already in use/)
  for (const end of release) await end()
  await allHear()
  await lab.until('nothing is wrong any more', async () => {
    const { stderr } = await lab.try('m1', 'node', 'ls')
    return stderr === ''
  })
  await lab.cli('m1', 'service', 'rm', 'quiet')
})

t.test('a worker that is removed hears nothing any more', async () => {
  const info = await lab.daemonInfo('w1')
  await lab.cli('m1', 'node', 'rm', '--force', info.nodeId)
  await lab.until('it is refused', async () => {
    const { busServerNodeId, busFailure } = await lab.daemonInfo('w1')
    return busServerNodeId === '' && busFailure.includes('Authorization Violation')
  })
  await allLead('after a removal', ['w1'])
  await lab.cli('w1', 'swarm', 'leave', '--force')
  await lab.until('it leads nowhere', async () => (await ways('w1')).length === 0)
})
