// What is done in containers that run, on a real kernel: programs with pipes and on a terminal, what they may, and their end.
import { readFileSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { getPriority } from 'node:os'
import t, { type Test } from 'tap'
import type { CopyOpen, ExecOpen, StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { writeTar } from '../../proto/lib/tar.ts'
import type { OpenedExecutor } from '../../worker/executor/container/open.ts'
import { pidExists } from '../../worker/executor/container/processes.ts'
import type { AttachedProgram, ExecEnd } from '../../worker/streams/container-streams.ts'
import { serveCopy } from '../../worker/streams/serve-copy.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  loadImage,
  never,
  nothingLeft,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'
import { raisePriority } from '../support/raise-priority.ts'

t.setTimeout(120_000)

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

/** As a daemon whose unit says so: nothing in a container may have it too. False: this host lets nobody go before others. */
const isBefore = raisePriority(-10)

/** How nice it is, and the number of the process it is a child of. */
function fieldsOf(pid: number): { readonly nice: number; readonly parent: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { nice: Number(fields[16]), parent: Number(fields[1]) }
}

interface Ran extends ExecEnd {
  readonly output: string
  readonly errors: string
}

const wish: Omit<ExecOpen, 'argv'> = {
  ...{ env: [], workdir: '', user: '', size: undefined },
  ...{ tty: false, interactive: true, detach: false },
}

/** Reads it to its end; `onText` sees all that came so far. */
async function ran(
  program: AttachedProgram,
  onText: (text: string, program: AttachedProgram) => void = () => {},
): Promise<Ran> {
  const read = async (chunks: AsyncIterable<Buffer> | undefined): Promise<string> => {
    let text = ''
    try {
      for await (const chunk of chunks ?? []) {
        text += chunk.toString()
        onText(text, program)
      }
    } catch {
      // Hung up.
    }
    return text
  }
  const [output, errors, end] = await Promise.all([
    read(program.output),
    read(program.errors),
    program.ended,
  ])
  return { output, errors, ...end }
}

/** Does something once, when the program has said that it is ready. */
function whenReady(
  act: (program: AttachedProgram) => void,
): (text: string, program: AttachedProgram) => void {
  let isDone = false
  return (text, program) => {
    if (isDone || !text.includes('ready')) return
    isDone = true
    act(program)
  }
}

t.test('a program in a container that runs', async (t) => {
  const { host, executor, streams, helper } = await aWorld(t)
  const mounts = [{ kind: 'tmpfs', target: '/scratch' }] as const
  const config = { env: ['COLOUR=red'], capDrop: ['NET_RAW'], workdir: '/srv', mounts }
  await executor.create(aScript('main', 'exec sleep 1000', config), never)
  const { state } = await executor.start('main', never)
  const exec = (argv: readonly string[], more: Partial<ExecOpen> = {}) =>
    streams.exec('main', { ...wish, argv, ...more })
  const sh = (script: string, more: Partial<ExecOpen> = {}) => exec(['/bin/sh', '-c', script], more)

  await t.test('has outputs of its own, and its exit code', async (t) => {
    const program = await sh('cat; echo err >&2; exit 3')
    program.input.end('typed ')
    t.same(await ran(program), { output: 'typed ', errors: 'err\n', exitCode: 3, err: '' })
    t.equal((await ran(await sh('kill -9 $$'))).exitCode, 137)
  })

  const asNice = 'is as nice as usual, like all of the container, whatever the daemon is'
  await t.test(asNice, { skip: !isBefore }, async (t) => {
    t.equal(getPriority(), -10)
    if (state.kind !== 'running') throw new Error('it does not run')
    const main = fieldsOf(state.pid)
    t.equal(main.nice, 0, 'the container')
    t.equal(fieldsOf(main.parent).nice, 0, 'its monitor')
    const script = 'cut -d " " -f 19 /proc/self/stat'
    t.equal((await ran(await sh(script))).output, '0\n', 'a program with pipes')
    const terminal = await sh(`${script}; echo ready; read line`, { tty: true })
    const onTerminal = await ran(
      terminal,
      whenReady(({ input }) => void input.write('\n')),
    )
    t.match(onTerminal.output, /^0\r?\nready/, 'one on a terminal')
    const argv = ['/bin/sh', '-c', script]
    const probed = await executor.probe('main', { argv, timeoutMs: 60_000 }, never)
    t.match(probed, { kind: 'ended', output: '0' }, 'a probe')
    const run = ['/bin/sh', '-c', script]
    t.equal((await helper.run(run)).stdout, '0\n', 'and what else is run')
    const urgent = await helper.spawn(run, { lane: 'network' })
    t.equal(urgent.stdout, '-10\n', 'but what changes the network')
  })

  await t.test('has what the container has, and what was asked for', async (t) => {
    const script = 'pwd; env; hostname; grep -E "^(CapEff|Seccomp|NoNewPrivs):" /proc/self/status'
    const { output } = await ran(await sh(script, { env: ['A=1', 'COLOUR=blue'] }))
    const lines = output.split('\n')
    // Docker's default set without NET_RAW.
    for (const line of ['/srv', 'A=1', 'COLOUR=blue', 'CapEff:\t00000000a80405fb', 'Seccomp:\t2']) {
      t.ok(lines.includes(line), line)
    }
    t.not((await ran(await sh('unshare -U true'))).exitCode, 0, 'the filter is in force')
    const other = await ran(
      await sh('pwd; id; echo $HOME; grep CapEff /proc/self/status', {
        ...{ user: 'app', workdir: '/tmp' },
      }),
    )
    t.match(other.output, /^\/tmp\nuid=1000\(app\) gid=1001\(app\).*\n\/home\/app\nCapEff:\t0+\n$/)
    await t.rejects(sh('true', { user: 'stranger' }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(sh('true', { workdir: 'tmp' }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(exec([]), { code: 'INVALID_ARGUMENT' })
  })

  await t.test('counts as the container, in its control groups', async (t) => {
    const before = await streams.usage('main')
    const program = await sh('echo ready; exec sleep 30')
    const running = ran(
      program,
      whenReady((one) => void seen(one)),
    )
    let table: readonly { readonly command: string; readonly user: string }[] = []
    const seen = async (one: AttachedProgram): Promise<void> => {
      await eventually(async () => {
        table = await streams.processes('main')
        return table.some(({ command }) => command === 'sleep 30')
      }, 'it is among the processes')
      await one.hangUp()
    }
    await running
    t.match(
      table.map(({ command, user }) => [command, user]),
      [
        ['sleep 1000', 'root'],
        ['sleep 30', 'root'],
      ],
    )
    const { memoryBytes, memoryLimitBytes, pids, cpuTotalNanos } = await streams.usage('main')
    t.ok(memoryBytes > 0 && memoryBytes < memoryLimitBytes)
    t.ok(pids >= 1)
    t.ok(cpuTotalNanos > before.cpuTotalNanos)
  })

  await t.test('that is not there, or cannot be run', async (t) => {
    const absent = await ran(await exec(['nosuch']))
    t.match(absent, {
      ...{ exitCode: 127, err: 'cannot run "nosuch" in the container' },
      errors: /`nosuch` not found in \$PATH/,
    })
    t.match(await ran(await exec(['/etc/passwd'])), {
      ...{ exitCode: 126, err: 'cannot run "/etc/passwd" in the container' },
      errors: /Permission denied/,
    })
    t.match(await ran(await sh('true', { workdir: '/nosuch' })), { exitCode: 126, errors: /chdir/ })
    const onTerminal = await ran(await exec(['nosuch'], { tty: true }))
    t.match(onTerminal, {
      exitCode: 127,
      err: /^cannot run "nosuch" in the container: executable file `nosuch` not found[^\n]*$/,
    })
    await t.rejects(streams.exec('nobody', { ...wish, argv: ['true'] }), { code: 'NOT_FOUND' })
  })

  await t.test('on a terminal its last words are heard, however soon it ends', async (t) => {
    const tty = { tty: true }
    const many = Array.from({ length: 24 }, async (_, at) => {
      const held = at % 4 === 0 ? 'sleep 1000 & ' : ''
      return await ran(await sh(`${held}echo first; echo last; exit 4`, tty))
    })
    for (const end of await Promise.all(many)) {
      t.match(end, { output: 'first\r\nlast\r\n', exitCode: 4, err: '' })
    }
  })

  await t.test('on a terminal: its size, a change of it, keys', async (t) => {
    const size = { rows: 33, columns: 111 }
    const tty = { tty: true, size }
    const first = await sh('tty; stty size; read x; echo got $x; exit 5', tty)
    first.input.write('hey\r')
    const { output, errors, exitCode } = await ran(first)
    t.match(output, /\/dev\/pts\/\d+\r\n/)
    t.match(output, /33 111\r\n/)
    t.match(output, /got hey\r\n$/)
    t.same([errors, exitCode], ['', 5])
    // The first size may come after its start, and is told of by the same signal. It stays until its word was heard.
    const act = 'case $(stty size) in "12 34") echo 12 34; read line; exit 6;; esac'
    const script = `trap '${act}' WINCH; echo ready; while :; do sleep 0.05; done`
    const resizeOnce = whenReady((one) => void one.resize({ rows: 12, columns: 34 }))
    const resized = await ran(await sh(script, tty), (text, one) => {
      resizeOnce(text, one)
      if (text.endsWith('12 34\r\n')) one.input.write('\r')
    })
    t.match(resized, { output: 'ready\r\n12 34\r\n', exitCode: 6 })
    const interrupted = await ran(
      await sh('trap "exit 7" INT; echo ready; while :; do sleep 0.05; done', tty),
      whenReady((one) => one.input.write('\x03')),
    )
    t.equal(interrupted.exitCode, 7)
  })

  await t.test('gets signals, and ends with who looked at it', async (t) => {
    const trap = 'trap "exit 8" TERM; echo ready; while :; do sleep 0.05; done'
    const signalled = await ran(
      await sh(trap),
      whenReady((one) => one.signal('SIGTERM')),
    )
    t.equal(signalled.exitCode, 8)
    const hungUp = await ran(
      await sh('echo ready; sleep 1000'),
      whenReady((one) => void one.hangUp()),
    )
    t.equal(hungUp.exitCode, 129)
    const deaf = await ran(
      await sh('trap "" HUP; echo ready; sleep 1000'),
      whenReady((one) => void one.hangUp()),
    )
    t.equal(deaf.exitCode, 137)
    const onTerminal = await ran(
      await sh('echo ready; sleep 1000', { tty: true }),
      whenReady((one) => void one.hangUp()),
    )
    t.equal(onTerminal.exitCode, 129)
    const left = (await streams.processes('main')).map(({ command }) => command)
    t.same(left, ['sleep 1000'], 'nothing of them is left')
  })

  await t.test('files go in and out as the container sees them', async (t) => {
    const archive = writeTar([
      { kind: 'directory', path: 'made', uid: 1000, gid: 1001, mode: 0o750 },
      { kind: 'file', path: 'made/file', data: Buffer.from('from outside'), uid: 1000, gid: 1001 },
    ])
    const copied = async (copy: Partial<CopyOpen>, data?: Uint8Array) => {
      const sent: NonNullable<StreamFrame['kind']>[] = []
      const wish = {
        path: '',
        into: false,
        keepOwners: true,
        followLink: false,
        rename: '',
        ...copy,
      }
      const frames = (async function* (): AsyncGenerator<StreamFrame> {
        if (data === undefined) return
        yield { kind: { $case: 'data', value: data } }
        yield { kind: { $case: 'dataEnd', value: true } }
      })()
      await serveCopy(
        streams,
        { id: 'main', copy: wish },
        {
          ...{ frames, clock: systemClock, signal: never },
          send: async (kind) => void sent.push(kind),
        },
      )
      return Buffer.concat(sent.flatMap((one) => (one.$case === 'data' ? [one.value] : [])))
    }
    // What is mounted in the container is no folder of its image.
    await copied({ path: '/scratch', into: true }, archive)
    const seen = await ran(await sh('ls -ln /scratch | tail -1; cat /scratch/made/file'))
    t.match(seen.output, /^drwxr-x--- +2 1000 +1001 .* made\nfrom outside$/)
    await ran(await sh('ln -s / /scratch/top; ln -s /etc/passwd /scratch/link; echo own > /own'))
    const out = await copied({ path: '/scratch/top/own' })
    t.ok(out.includes('own\n'), "a link to / is the container's own")
    await t.rejects(copied({ path: `/scratch/top${host.scratchDir}` }), { code: 'NOT_FOUND' })
    const passwd = await copied({ path: '/scratch/link', followLink: true })
    t.ok(passwd.includes('app:x:1000'))
    t.notOk(passwd.includes(readFileSync('/etc/passwd')))
  })

  await t.test('ports are reached on its own loopback', async (t) => {
    const script =
      'echo hello >/scratch/index.html; echo ready; exec httpd -f -p 127.0.0.1:7070 -h /scratch'
    const server = await sh(script)
    const serving = ran(server)
    const refused = await ran(await streams.forward('main', 7071))
    t.match(refused.err, /nothing waits on port 7071/)
    let heard = ''
    await eventually(async () => {
      const program = await streams.forward('main', 7070)
      program.input.end('GET / HTTP/1.0\r\n\r\n')
      const { output, err } = await ran(program)
      heard = output
      return err === '' && output !== ''
    }, 'it answers')
    t.match(heard, /\r\n\r\nhello\n$/)
    const program = await streams.forward('main', 7070)
    program.input.write('GET / HTTP/1.0\r\n\r\n')
    let answer = ''
    for await (const chunk of program.output) answer += chunk.toString()
    t.match(answer, /hello\n$/, 'the server has closed, and is told to have')
    program.input.end()
    t.match(await program.ended, { err: '' })
    await server.hangUp()
    await serving
  })

  await t.test('in the background, the null device of the host is out of its reach', async (t) => {
    const before = statSync('/dev/null')
    const script = 'chmod 600 /proc/self/fd/1; exec sleep 501'
    const program = await sh(script, { detach: true, user: '1000:1000' })
    t.match(await ran(program), { exitCode: 0, err: '' })
    await eventually(async () => {
      const all = await streams.processes('main')
      return all.some(({ command }) => command === 'sleep 501')
    }, 'it is past the change')
    const { uid, gid, mode } = statSync('/dev/null')
    t.same([uid, gid, mode], [before.uid, before.gid, before.mode])
  })

  await t.test('in the background goes on by itself', async (t) => {
    t.match(await ran(await sh('exec sleep 500', { detach: true })), { exitCode: 0, err: '' })
    await eventually(async () => {
      const all = await streams.processes('main')
      return all.some(({ command, pid }) => command === 'sleep 500' && pidExists(pid))
    }, 'it is among the processes')
    t.match(await ran(await exec(['nosuch'], { detach: true })), {
      exitCode: 127,
      err: /not found/,
    })
    const onTerminal = await sh('exec sleep 502', { detach: true, tty: true })
    t.match(await ran(onTerminal), { exitCode: 0, err: '' })
  })

  const bundle = await readdir(`${host.dirs.runDir}/containers/main`)
  t.same(
    bundle.filter((name) => name.startsWith('exec-')),
    [],
    'no files are left behind',
  )
  await executor.stop('main', { graceMs: 0 })
  await t.rejects(sh('true'), { code: 'FAILED_PRECONDITION', message: /is not running/ })
  await t.rejects(streams.usage('main'), { code: 'FAILED_PRECONDITION' })
  await executor.remove('main')
  t.same(await host.leftovers(), nothingLeft)
})
