// A cluster whose nodes give containers users of their own: what services have otherwise they have here too, over two hosts and
// with both runtimes, and nothing of it is left. Details of one container are in executor-userns.test.ts.
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import t, { type Test } from 'tap'
import { TestLab } from '../support/test-lab.ts'
import { whyNoUserns } from '../support/userns.ts'

t.setTimeout(600_000)

const port = 18_471
const firstUser = 2_100_000_000
const hosts = ['m1', 'w1']

/** Processes of this machine that users of containers of this setting have. */
function processesOfUsers(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8')
        const uid = Number(/^Uid:\s*(\d+)/m.exec(status)?.[1])
        // Other labs may have such users too.
        const isLabs = readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes('/tsswarm-lab-userns-')
        return uid >= firstUser && uid < firstUser + 65_536 && isLabs ? [pid] : []
      } catch {
        return []
      }
    })
}

/** What a node has of containers, on disk and in its data plane. */
async function remains(lab: TestLab): Promise<readonly string[]> {
  const found = hosts.flatMap((host) => {
    const { stateDir, runDir } = lab.paths(host)
    const folders = [
      `${stateDir}/engine/containers`,
      `${runDir}/engine/containers`,
      `${runDir}/engine/exits`,
    ]
    return folders
      .filter((folder) => existsSync(folder))
      .flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
  })
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const links = await Promise.all(
    hosts.map(async (host) => {
      const plane = `--net=${lab.paths(host).runDir}/network/dataplane.netns`
      const { stdout } = await lab.run(host, 'nsenter', plane, '--', 'ip', '-br', 'link')
      return stdout.split('\n').filter((line) => /^v[0-9a-f]{12}@/.test(line))
    }),
  )
  return [
    ...found,
    ...mounts.filter(
      (line) => line.includes(`${lab.deps.roots.stateRoot}/`) && / overlay /.test(line),
    ),
    ...links.flat(),
    ...processesOfUsers().map((pid) => `process ${pid}`),
  ]
}

t.test('a cluster with users of containers', { skip: whyNoUserns('/tmp') }, async (t) => {
  const daemonEnv = { TSSWARM_USERNS_REMAP: 'auto' }
  const lab = await TestLab.up('userns', { managers: 1, workers: 1, daemonEnv })
  t.teardown(() => lab.down())
  // Of labs of earlier versions it may be there and closed: runc walks to containers as their users.
  chmodSync(dirname(lab.deps.roots.runRoot), 0o711)
  // A busy machine starts a daemon more slowly than a node is missed: what runs there would be replaced.
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '60s')
  await lab.cli('m1', 'network', 'create', 'back')
  t.same(await remains(lab), [])
  for (const runtime of ['crun', 'runc']) {
    await t.test(`has services with ${runtime}`, (t) => services(t, lab, runtime))
  }
  await t.test('nothing is left of them', async (t) => {
    await lab.until('nothing is left', async () => (await remains(lab)).length === 0)
    for (const host of hosts) {
      const [volume] = JSON.parse(
        await lab.cli(host, 'volume', 'inspect', 'data-crun'),
      ) as readonly {
        readonly Mountpoint: string
      }[]
      t.same(readdirSync(volume?.Mountpoint ?? '').toSorted(), ['copied', 'own'], 'but the volume')
      await lab.cli(host, 'volume', 'rm', 'data-crun', 'data-runc')
    }
    t.match(await lab.cli('m1', 'network', 'audit'), /2 nodes asked: nothing differs$/)
  })
})

async function services(t: Test, lab: TestLab, runtime: string): Promise<void> {
  const name = `web-${runtime}`
  const exec = (slot: number, script: string): Promise<string> =>
    lab.cli('m1', 'exec', `${name}.${slot}`, 'sh', '-c', script)
  const check = [
    '--health-cmd',
    'test "$(id -u)" = 0 && touch /data/own',
    '--health-interval',
    '300ms',
  ]
  const place = ['--replicas', '2', '--replicas-max-per-node', '1', '--network', 'back']
  await lab.cli(
    ...(['m1', 'service', 'create', '--detach', '--name', name, '--runtime', runtime] as const),
    ...[...place, ...check, '--publish', `${port}:80`, '--health-start-period', '10m'],
    ...['--mount', `type=volume,src=data-${runtime},dst=/data`, '--env', 'TASK={{.Task.Name}}'],
    'lab/hello',
  )
  await lab.untilRunning('m1', name, 2)
  t.ok((await lab.tasks('m1', name)).every(({ state }) => state.includes('(healthy)')))

  const views = await lab.taskViews('m1', name)
  t.same(views.map(({ nodeHostname }) => nodeHostname).toSorted(), hosts)
  for (const slot of [1, 2]) {
    const seen = await exec(slot, 'cat /proc/self/uid_map; stat -c %u:%g / /data/own')
    t.match(seen.replaceAll(/ +/g, ' '), /^0 2100000000 65536\n0:0\n0:0$/, `${name}.${slot}`)
  }

  const addresses = views.map(({ task }) => task?.attachments.at(0)?.addresses.at(0) ?? '')
  const slots = views.map(({ task }) => task?.slot ?? 0)
  for (const [at, slot] of slots.entries()) {
    const other = addresses[1 - at]
    await lab.until(`${name}.${slot} reaches the other host`, async () => {
      const { code } = await lab.try(
        'm1',
        'exec',
        `${name}.${slot}`,
        'ping',
        '-c',
        '1',
        '-W',
        '2',
        `${other}`,
      )
      return code === 0
    })
    const pages = `wget -q -O - http://${other}/cgi-bin/index.cgi; wget -q -O - http://${name}/cgi-bin/index.cgi`
    const answers = await exec(slot, pages)
    t.match(answers, `task: ${name}.${slots[1 - at]}.`, 'the other by its address')
    t.equal(answers.match(/^hello from/gm)?.length, 2, 'and one by the name of the service')
  }
  for (const host of hosts) {
    const fetching = `fetch('http://${lab.address(host)}:${port}/cgi-bin/index.cgi').then((a) => a.text()).then(console.log)`
    await lab.until(`${host} answers on the published port`, async () =>
      (await lab.run('m1', process.execPath, '-e', fetching)).stdout.includes(`task: ${name}.`),
    )
  }

  for (const slot of [1, 2]) {
    await lab.cli('m1', 'cp', 'package.json', `${name}.${slot}:/data/copied`)
    t.match(
      await exec(slot, 'stat -c %u:%g /data/copied; head -2 /data/copied'),
      /^0:0\n.*\n.*tsswarm/,
    )
    const out = await lab.try('m1', 'cp', `${name}.${slot}:/data/copied`, '-')
    t.match(out, { code: 0, stdout: /"name": "tsswarm"/ })
  }
  const logs = await lab.cli('m1', 'service', 'logs', name)
  for (const slot of [1, 2])
    t.match(logs, new RegExp(`^${name}\\.${slot}\\.\\S+ .*hello: serving on port 80`, 'm'))

  // On disk a volume has the numbers that programs inside have; the roots of containers have others.
  for (const host of hosts) {
    const path = `${lab.paths(host).stateDir}/engine/volumes/data-${runtime}/_data/own`
    t.equal((await lab.run(host, 'stat', '-c', '%u:%g', path)).stdout, '0:0\n')
  }
  t.ok(processesOfUsers().length >= 4, 'they run as nobody of the host')
  // What a container of the daemon before runs on under the next one.
  await lab.kill('w1')
  await lab.start('w1')
  const moved = slots[views.findIndex(({ nodeHostname }) => nodeHostname === 'w1')] ?? 0
  await lab.until('the next daemon has it', async () => {
    const { stdout } = await lab.try('m1', 'exec', `${name}.${moved}`, 'cat', '/proc/self/uid_map')
    return stdout.includes('2100000000')
  })
  t.same(
    (await lab.running('m1', name)).map(({ id }) => id).toSorted(),
    views.map(({ task }) => task?.id).toSorted(),
    'the same tasks',
  )
  await lab.cli('m1', 'service', 'rm', name)
  await lab.until(`${name} has gone`, async () => (await remains(lab)).length === 0)
}
