// The executor on a real kernel: real images, real containers, and nothing left behind.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { OpenedExecutor } from '../../worker/executor/container/open.ts'
import type { ContainerConfig } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(240_000)

interface World extends OpenedExecutor {
  readonly host: ExecutorHost
}

async function aWorld(t: Test): Promise<World> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const opened = await host.open()
  await loadImage(opened.images, await busyboxImage())
  return { host, ...opened }
}

t.test('a container', async (t) => {
  const { host, executor } = await aWorld(t)

  await t.test('runs its command and reports the exit code', async (t) => {
    const run = await runToEnd(executor, aScript('exits', 'echo out; echo err >&2; exit 3'))
    t.equal(run.exitCode, 3)
    t.equal(run.oomKilled, false)
    t.match(run.output, /out\nerr|err\nout/)
    const { state } = await executor.inspect('exits')
    t.equal(state.kind, 'exited')
    await t.rejects(executor.start('exits', never), { code: 'FAILED_PRECONDITION' })
  })

  await t.test('a short one does not end before it began', async (t) => {
    for (let tries = 1; tries <= 20; tries++) {
      await runToEnd(executor, aScript(`short-${tries}`, 'exit 0'))
      const { state } = await executor.inspect(`short-${tries}`)
      t.ok(state.kind === 'exited' && (state.startedAtMs ?? 0) <= state.exit.finishedAtMs)
    }
  })

  await t.test('killed by a signal exits with 128 and its number', async (t) => {
    const run = await runToEnd(executor, aScript('signal', 'sh -c "kill -TERM \\$\\$"; exit $?'))
    t.equal(run.exitCode, 143)
  })

  await t.test(
    "sees environment, working directory, hostname, and Docker's defaults",
    async (t) => {
      const script =
        'env; pwd; hostname; cat /etc/hosts /etc/resolv.conf; grep -E "^(Cap|Sec)" /proc/self/status'
      const { output } = await runToEnd(
        executor,
        aScript('view', script, {
          env: ['COLOUR=red', 'COLOUR=blue', 'EMPTY='],
          workdir: '/srv/made',
          hostname: 'web-1',
          hosts: ['10.1.2.3 database'],
          dns: { nameservers: ['10.9.9.9'], search: ['lan'], options: ['ndots:2'] },
        }),
      )
      const lines = output.split('\n')
      for (const line of [
        'COLOUR=blue',
        'EMPTY=',
        'HOSTNAME=web-1',
        'HOME=/root',
        '/srv/made',
        'web-1',
        '10.1.2.3 database',
        'nameserver 10.9.9.9',
        'search lan',
        'options ndots:2',
        'CapEff:\t00000000a80425fb',
        'CapInh:\t0000000000000000',
        'Seccomp:\t2',
      ]) {
        t.ok(lines.includes(line), line)
      }
      t.notOk(lines.includes('COLOUR=red'))
    },
  )

  await t.test('has the seccomp filter also when it was compiled before', async (t) => {
    // A new user namespace is what Docker's profile forbids to containers without CAP_SYS_ADMIN.
    for (const id of ['filter-1', 'filter-2']) {
      const run = await runToEnd(executor, aScript(id, 'unshare -U true'))
      t.not(run.exitCode, 0, id)
      t.match(run.output, /not permitted/)
    }
    const free = aScript('filter-3', 'unshare -m true', { capAdd: ['SYS_ADMIN'] })
    t.equal((await runToEnd(executor, free)).exitCode, 0, 'other capabilities, other filter')
  })

  await t.test('runs as the user asked for, by the accounts of the image', async (t) => {
    const who = (user: string, groups: readonly string[] = []): ContainerConfig =>
      aScript(`user-${user.replaceAll(/[^a-z0-9]/g, '-')}`, 'id; echo "$HOME"', { user, groups })
    const app = await runToEnd(executor, who('app'))
    t.match(app.output, 'uid=1000(app) gid=1001(app) groups=29(audio),1001(app)')
    t.match(app.output, '/home/app')
    t.match((await runToEnd(executor, who('app:www'))).output, 'gid=82(www)')
    t.match((await runToEnd(executor, who('1234:5678'))).output, 'uid=1234 gid=5678')
    t.match((await runToEnd(executor, who('nobody', ['audio']))).output, '29(audio)')
    await t.rejects(executor.create(who('stranger'), never), {
      code: 'INVALID_ARGUMENT',
      message: 'unable to find user stranger: no matching entries in passwd file of the image',
    })
  })

  await t.test('that is read-only can write only where a mount is', async (t) => {
    const run = await runToEnd(
      executor,
      aScript('read-only', 'touch /x; touch /tmp/y && echo wrote', {
        readOnly: true,
        mounts: [{ kind: 'tmpfs', target: '/tmp', sizeBytes: 1 << 20 }],
      }),
    )
    t.match(run.output, /Read-only file system/)
    t.match(run.output, 'wrote')
  })

  await t.test(
    'on a terminal has one, and lines without carriage returns are its own affair',
    async (t) => {
      const run = await runToEnd(
        executor,
        aScript('tty', 'tty; test -t 1 && echo terminal', { tty: true }),
      )
      t.match(run.output, '/dev/')
      t.match(run.output, 'terminal')
    },
  )

  await t.test('with sysctls, ulimits and dropped capabilities has them', async (t) => {
    const run = await runToEnd(
      executor,
      aScript('knobs', 'sysctl -n net.core.somaxconn; ulimit -n; chown app /tmp; true', {
        sysctls: { 'net.core.somaxconn': '321' },
        ulimits: [{ name: 'nofile', soft: 123, hard: 456 }],
        capDrop: ['CHOWN'],
      }),
    )
    t.match(run.output, '321')
    t.match(run.output, '123')
    t.match(run.output, /not permitted/)
  })

  await t.test('runs below an init process that passes signals on and reaps', async (t) => {
    // The inner shell leaves its child to process 1, which must take its remains away.
    const script =
      "trap 'ps -o stat,comm; exit 7' TERM; (sleep 0.1 &); echo pid $$; echo up; while true; do sleep 0.05; done"
    await executor.create(aScript('with-init', script, { init: true, stopGraceMs: 20_000 }), never)
    const { state } = await executor.start('with-init', never)
    if (state.kind !== 'running') throw new Error('it does not run')
    await hasLogged(executor, 'with-init', 'up')
    t.match(await readFile(`/proc/${state.pid}/cmdline`, 'utf8'), '/sbin/tsswarm-init\0--\0/bin/sh')
    const orphan = `/proc/${state.pid}/task/${state.pid}/children`
    await eventually(
      async () => (await readFile(orphan, 'utf8')).trim().split(' ').length === 1,
      'only the command is left below it',
    )
    t.equal((await executor.stop('with-init', {})).exitCode, 7)
    const lines = await logLines(executor, 'with-init')
    t.notOk(lines.includes('pid 1'), 'the command is not process 1')
    t.notOk(lines.some((line) => line.startsWith('Z')))
  })

  await t.test('that asks for an init process where there is none is refused', async (t) => {
    const other = await createExecutorHost()
    t.teardown(() => other.dispose())
    const { executor: one, images } = await other.open({ initPath: '' })
    await loadImage(images, await busyboxImage())
    await t.rejects(one.create(aContainer('without', { init: true }), never), {
      code: 'UNSUPPORTED',
      message: /apt-get install catatonit/,
    })
  })

  await t.test('inherits no open file of the daemon', async (t) => {
    const { output } = await runToEnd(
      executor,
      aScript('files', '/bin/ls /proc/$$/fd >/list; cat /list'),
    )
    t.match(output, /^0\n1\n(10\n)?2$/, 'a shell keeps its script as 10')
  })

  await t.test('made twice is one, and a failed start leaves nothing', async (t) => {
    const config = aContainer('twice', { args: ['sleep', '1000'] })
    const [first, second] = await Promise.all([
      executor.create(config, never),
      executor.create(config, never),
    ])
    t.same(first, second)
    await executor.remove('twice')
    await executor.remove('twice')
    await t.rejects(executor.inspect('twice'), { code: 'NOT_FOUND' })
  })

  await t.test('refused by a reason the user can mend leaves nothing', async (t) => {
    const bad = (over: Partial<ContainerConfig>): Promise<unknown> =>
      executor.create(aContainer('bad', over), never)
    await t.rejects(bad({ image: 'no/such' }), {
      code: 'IMAGE_NOT_FOUND',
      message: 'No such image: no/such',
    })
    await t.rejects(bad({ mounts: [{ kind: 'bind', source: '/no/such', target: '/x' }] }), {
      code: 'INVALID_ARGUMENT',
      message: 'invalid mount config for type "bind": bind source path does not exist: /no/such',
    })
    await t.rejects(bad({ entrypoint: ['/no/such'] }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(bad({ entrypoint: ['/etc/passwd'] }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(bad({ capAdd: ['FLY'] }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(bad({ stopSignal: 'SIGFLY' }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(executor.create(aContainer('Bad/Id'), never), { code: 'INVALID_ARGUMENT' })
    const gaveUp = new AbortController()
    gaveUp.abort()
    await t.rejects(executor.create(aContainer('bad'), gaveUp.signal), { code: 'CANCELLED' })
    await t.rejects(executor.inspect('bad'), { code: 'NOT_FOUND' })
  })

  await Promise.all((await executor.list()).map(({ id }) => executor.remove(id)))
  t.same(await host.leftovers(), { ...nothingLeft, processes: [] })
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test('limits of resources', async (t) => {
  const { executor } = await aWorld(t)

  await t.test('are seen in the cgroup and in the figures of use', async (t) => {
    await executor.create(
      aContainer('limits', {
        args: ['sleep', '1000'],
        resources: { memoryBytes: 32 << 20, nanoCpus: 250_000_000, pids: 7 },
      }),
      never,
    )
    const { state } = await executor.start('limits', never)
    if (state.kind !== 'running') throw new Error('it does not run')
    const groups = await readFile(`/proc/${state.pid}/cgroup`, 'utf8')
    const pathIn = (controller: string): string =>
      new RegExp(`:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)`).exec(groups)?.[1] ??
      /^0::(.*)$/m.exec(groups)?.[1] ??
      ''
    const value = async (v1: string, v2: string, controller: string): Promise<string> => {
      const root = '/sys/fs/cgroup'
      const path = pathIn(controller)
      const one = await readFile(`${root}/${controller}${path}/${v1}`, 'utf8').catch(() => '')
      return (one === '' ? await readFile(`${root}${path}/${v2}`, 'utf8') : one).trim()
    }
    t.equal(await value('memory.limit_in_bytes', 'memory.max', 'memory'), `${32 << 20}`)
    t.match(await value('cpu.cfs_quota_us', 'cpu.max', 'cpu'), /^25000\b/)
    t.equal(await value('pids.max', 'pids.max', 'pids'), '7')
    const stats = await executor.stats('limits')
    t.equal(stats.memoryLimitBytes, 32 << 20)
    t.equal(stats.pids, 1)
    t.ok(stats.cpuUsageNanos > 0)
    t.ok(stats.memoryBytes > 0 && stats.memoryBytes < 32 << 20)
  })

  await t.test('over memory it is killed, and that is told', async (t) => {
    const eats = aScript('eats', 'x=aaaaaaaa; while true; do x=$x$x; done', {
      resources: { memoryBytes: 16 << 20 },
    })
    t.match(await runToEnd(executor, eats), { exitCode: 137, oomKilled: true })
  })

  await t.test('over pids it cannot fork', async (t) => {
    const forks = aScript('forks', 'for i in 1 2 3 4 5 6; do sleep 5 & done; true', {
      resources: { pids: 3 },
    })
    t.match((await runToEnd(executor, forks)).output, /fork/)
  })

  await t.rejects(executor.stats('eats'), { code: 'FAILED_PRECONDITION' })
})

t.test('stopping', async (t) => {
  const { executor } = await aWorld(t)
  const running = async (config: ContainerConfig, line: string): Promise<void> => {
    await executor.create(config, never)
    await executor.start(config.id, never)
    await hasLogged(executor, config.id, line)
  }
  const polite =
    'trap "echo bye; exit 5" TERM; trap "echo hup" HUP; echo up; while true; do sleep 0.05; done'

  await t.test('sends the signal and waits for the end', async (t) => {
    await running(aScript('polite', polite), 'up')
    const exit = await executor.stop('polite', { graceMs: 20_000 })
    t.equal(exit.exitCode, 5)
    t.ok((await logLines(executor, 'polite')).includes('bye'))
    t.same(await executor.stop('polite', {}), exit, 'once more changes nothing')
  })

  await t.test('kills after the grace', async (t) => {
    await running(aScript('deaf', 'trap "" TERM; echo up; while true; do sleep 0.05; done'), 'up')
    const before = performance.now()
    const exit = await executor.stop('deaf', { graceMs: 150 })
    t.equal(exit.exitCode, 137)
    t.ok(performance.now() - before >= 150)
  })

  await t.test('uses the signal of the container', async (t) => {
    const script = 'trap "exit 6" USR1; echo up; while true; do sleep 0.05; done'
    await running(aScript('own', script, { stopSignal: 'SIGUSR1', stopGraceMs: 20_000 }), 'up')
    t.equal((await executor.stop('own', {})).exitCode, 6)
  })

  await t.test('another signal leaves it running', async (t) => {
    await running(aScript('hup', polite), 'up')
    await executor.kill('hup', 'HUP')
    await hasLogged(executor, 'hup', 'hup')
    t.equal((await executor.inspect('hup')).state.kind, 'running')
    await executor.kill('hup')
    t.equal((await executor.wait('hup', never)).exitCode, 137)
    await t.rejects(executor.kill('hup'), { code: 'FAILED_PRECONDITION' })
  })

  await t.test('ends one that never started, and a wait can be given up', async (t) => {
    await executor.create(aContainer('fresh', { args: ['sleep', '1000'] }), never)
    const controller = new AbortController()
    const waiting = executor.wait('fresh', controller.signal)
    controller.abort()
    await t.rejects(waiting, { code: 'CANCELLED' })
    t.equal((await executor.stop('fresh', {})).exitCode, 137)
  })

  await t.test('a container whose monitor dies is killed, and that is told', async (t) => {
    await running(aScript('orphan', polite), 'up')
    const { state } = await executor.inspect('orphan')
    if (state.kind !== 'running') throw new Error('it does not run')
    const status = await readFile(`/proc/${state.pid}/status`, 'utf8')
    process.kill(Number(/^PPid:\t([0-9]+)/m.exec(status)?.[1]), 'SIGKILL')
    t.match(await executor.wait('orphan', never), { exitCode: -1, error: /monitor/ })
    await eventually(async () => !(await exists(`/proc/${state.pid}`)), 'the process is gone')
    await executor.remove('orphan')
  })
})

t.test('mounts', async (t) => {
  const { host, executor, images, volumes } = await aWorld(t)

  await t.test("a bind mount shows the host's files, read-only when asked", async (t) => {
    const source = `${host.scratchDir}/shared`
    await mkdir(source)
    await writeFile(`${source}/greeting`, 'hello')
    const run = await runToEnd(
      executor,
      aScript('bind', 'cat /in/greeting /file; echo >>/file; echo back >/in/answer; touch /ro/x', {
        mounts: [
          { kind: 'bind', source, target: '/in' },
          { kind: 'bind', source, target: '/ro', readOnly: true },
          { kind: 'bind', source: `${source}/greeting`, target: '/file', readOnly: true },
          { kind: 'bind', source: `${source}/made`, target: '/made', createSource: true },
        ],
      }),
    )
    t.match(run.output, 'hellohello')
    for (const target of ['/file', '/ro/x']) t.match(run.output, `${target}: Read-only`)
    t.equal(await readFile(`${source}/answer`, 'utf8'), 'back\n')
    t.ok((await stat(`${source}/made`)).isDirectory())
  })

  await t.test('a mount lies in another whatever their order', async (t) => {
    const run = await runToEnd(
      executor,
      aScript('nested', 'mount | grep " /a" | cut -d" " -f3,5', {
        mounts: [
          { kind: 'tmpfs', target: '/a/b/c' },
          { kind: 'tmpfs', target: '/a' },
        ],
      }),
    )
    t.same(run.output.split('\n'), ['/a tmpfs', '/a/b/c tmpfs'])
  })

  await t.test(
    'a named volume outlives containers and is filled from the image once',
    async (t) => {
      const mounts = [{ kind: 'volume' as const, name: 'data', target: '/etc' }]
      const first = await runToEnd(
        executor,
        aScript(
          'vol-1',
          'grep -c app /etc/passwd; rm /etc/group; echo kept > /etc/mine; cat /etc/hostname',
          {
            mounts,
          },
        ),
      )
      t.equal(first.output, '1\nvol-1', "the container's own hostname file lies in the volume")
      await executor.remove('vol-1')
      const second = await runToEnd(
        executor,
        aScript('vol-2', 'cat /etc/mine; test -e /etc/group || echo gone', { mounts }),
      )
      t.equal(second.output, 'kept\ngone')
      const owner = await runToEnd(
        executor,
        aScript('vol-3', 'stat -c %u:%g /home/app', {
          mounts: [{ kind: 'volume', name: 'homes', target: '/home/app' }],
        }),
      )
      t.equal(owner.output, '1000:1001', 'the folder keeps its owner')
    },
  )

  await t.test('a part of a volume is mounted alone', async (t) => {
    const whole = { kind: 'volume' as const, name: 'data', target: '/data' }
    const made = 'mkdir -p /data/app/in; echo part >/data/app/in/text; ln -s in /data/app/way'
    await runToEnd(executor, aScript('part-1', made, { mounts: [whole] }))
    const mounts = ['app/in', 'app/way'].map((subpath, at) => ({
      ...{ ...whole, subpath, target: `/srv/${at}/deep` },
    }))
    const { output } = await runToEnd(
      executor,
      aScript('part-2', 'cat /srv/*/deep/text', { mounts }),
    )
    t.equal(output, 'part\npart')
    const absent = aScript('part-3', 'true', { mounts: [{ ...whole, subpath: 'nosuch' }] })
    await t.rejects(runToEnd(executor, absent), { code: 'INVALID_ARGUMENT', message: /no folder/ })
  })

  await t.test("a volume of the image's own is made for each container", async (t) => {
    const file = { kind: 'file' as const, path: 'cache/seed', data: Buffer.from('seed') }
    const archive = await busyboxImage({ name: 'with/volume', volumes: ['/cache'], files: [file] })
    await loadImage(images, archive)
    const script = 'cat /cache/seed; mount | grep -c " /cache "'
    const run = await runToEnd(executor, aScript('own-volume', script, { image: 'with/volume' }))
    t.equal(run.output, 'seed1')
    await executor.remove('own-volume')
  })

  await t.test('an anonymous volume goes with its container, noCopy leaves it empty', async (t) => {
    const run = await runToEnd(
      executor,
      aScript('anon', 'ls /etc; touch /etc/x', {
        mounts: [{ kind: 'volume', target: '/etc', noCopy: true }],
      }),
    )
    t.notMatch(run.output, 'passwd')
    const names = (await volumes.list()).map(({ name }) => name)
    const own = names.filter((name) => !['data', 'homes'].includes(name))
    t.equal(own.length, 1)
    await executor.remove('anon')
    t.same(
      (await volumes.list()).map(({ name }) => name),
      ['data', 'homes'],
    )
  })
})

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
