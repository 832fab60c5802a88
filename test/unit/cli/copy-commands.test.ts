// cp and port-forward against a daemon in this process, with a folder of this host for a container.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import type { StreamFrame } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../../proto/lib/clock.ts'
import { serveCopy } from '../../../worker/streams/serve-copy.ts'
import { serveForward } from '../../../worker/streams/serve-exec.ts'
import { serveTop } from '../../../worker/streams/serve-figures.ts'
import type { StreamIo } from '../../../worker/streams/stream-io.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { LocalContainers } from '../../support/local-containers.ts'
import { untilSeen } from '../../support/until.ts'

interface World {
  readonly daemon: TestDaemon
  readonly containers: LocalContainers
  /** Of the container, and of this host. */
  readonly root: string
  readonly here: string
}

async function aWorld(t: Test): Promise<World> {
  const daemon = await startTestDaemon()
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-cp-'))
  t.teardown(() => {
    daemon.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const [root, here] = [join(dir, 'root'), join(dir, 'here')]
  mkdirSync(join(root, 'srv'), { recursive: true })
  mkdirSync(here)
  const containers = new LocalContainers('web')
  containers.root = root
  daemon.control['openStream'] = (async (
    _: unknown,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
    signal: AbortSignal,
  ) => {
    const frames = incoming[Symbol.asyncIterator]()
    const { value } = await frames.next()
    const io: StreamIo = {
      frames: { [Symbol.asyncIterator]: () => ({ next: () => frames.next() }) },
      send: (kind) => send({ kind }),
      ...{ signal, clock: systemClock },
    }
    if (value?.kind?.$case !== 'open') throw new Error('not opened')
    const { what, reference: id } = value.kind.value
    try {
      if (what?.$case === 'copy') await serveCopy(containers, { id, copy: what.value }, io)
      else if (what?.$case === 'forward') {
        await serveForward(containers, { id: 'web', port: what.value.port }, io)
      } else await serveTop(containers, id, io)
    } catch (err) {
      if (!(err instanceof SwarmError)) throw err
      const ended = { exitCode: 0, err: err.message, code: err.code }
      await send({ kind: { $case: 'ended', value: ended } })
    }
  }) as never
  return { daemon, containers, root, here }
}

t.test('cp out: into a folder, under another name, contents, an archive', async (t) => {
  const { daemon, root, here } = await aWorld(t)
  mkdirSync(join(root, 'srv/html/deep'), { recursive: true })
  writeFileSync(join(root, 'srv/html/deep/page'), 'hello')
  const cp = (...words: readonly string[]) => daemon.run(['cp', ...words])
  t.match(await cp('web:/srv/html', here), {
    ...{ code: 0, stdout: '', stderr: /^Successfully copied [\d.]+kB to .*here\n$/ },
  })
  t.equal(readFileSync(join(here, 'html/deep/page'), 'utf8'), 'hello')
  t.same(await cp('-q', 'web:/srv/html', join(here, 'other')), { code: 0, stdout: '', stderr: '' })
  t.equal(readFileSync(join(here, 'other/deep/page'), 'utf8'), 'hello')
  await cp('web:/srv/html/.', join(here, 'contents'))
  t.equal(readFileSync(join(here, 'contents/deep/page'), 'utf8'), 'hello')
  await cp('web:srv/html/deep/page', join(here, 'page'))
  t.equal(readFileSync(join(here, 'page'), 'utf8'), 'hello')
  const archive = await cp('web:/srv/html', '-')
  t.ok(archive.stdout.includes('html/deep/page'))
  t.match(await cp('web:/none', here), {
    code: 1,
    stderr: 'Error: no such file or directory: /none\n',
  })
  t.match(await cp('web:/srv', join(here, 'no/where')), {
    code: 1,
    stderr: /there is no directory/,
  })
  t.match(await cp('other:/srv', here), { code: 1, stderr: 'Error: No such container: other\n' })
})

t.test('cp into: a file, a folder, contents, an archive', async (t) => {
  const { daemon, root, here } = await aWorld(t)
  mkdirSync(join(here, 'html'))
  writeFileSync(join(here, 'html/page'), 'hello', { mode: 0o600 })
  symlinkSync('page', join(here, 'html/link'))
  const cp = (...words: readonly string[]) => daemon.run(['cp', ...words])
  t.match(await cp(join(here, 'html'), 'web:/srv'), { code: 0, stderr: /to web:\/srv\n$/ })
  t.equal(readFileSync(join(root, 'srv/html/link'), 'utf8'), 'hello')
  t.equal(statSync(join(root, 'srv/html/page')).mode & 0o777, 0o600)
  await cp(join(here, 'html'), 'web:/srv/other')
  t.ok(existsSync(join(root, 'srv/other/page')))
  await cp(`${here}/html/.`, 'web:/srv/contents')
  t.ok(existsSync(join(root, 'srv/contents/page')))
  await cp('-L', join(here, 'html/link'), 'web:/srv/page')
  t.notOk(statSync(join(root, 'srv/page')).isSymbolicLink())
  t.equal(readFileSync(join(root, 'srv/page'), 'utf8'), 'hello')
  const { stdout } = await cp('web:/srv/page', '-')
  const copied = await daemon.run('cp - web:/srv/contents', { stdin: [Buffer.from(stdout)] })
  t.same(copied, { code: 0, stdout: '', stderr: '' })
  t.ok(existsSync(join(root, 'srv/contents/page')))
  t.match(await cp(join(here, 'none'), 'web:/srv'), {
    code: 1,
    stderr: /no such file or directory/,
  })
  t.match(await cp(join(here, 'html'), 'web:/none/deep'), { code: 1, stderr: /no such file/ })
  t.match(await daemon.run('cp - web:/srv', { stdin: [Buffer.alloc(600, 1)] }), {
    ...{ code: 1, stderr: /cannot be read: it is no tar archive/ },
  })
})

t.test('cp: devices, pipes and sockets are left out, and said to be', async (t) => {
  const { daemon, root, here } = await aWorld(t)
  const cp = (...words: readonly string[]) => daemon.run(['cp', ...words])
  for (const dir of [join(root, 'srv/html'), join(here, 'html')]) {
    mkdirSync(dir)
    execFileSync('mkfifo', [join(dir, 'pipe')])
    writeFileSync(join(dir, 'page'), 'hello')
  }
  const warning =
    /^Warning: 1 devices, pipes or sockets were left out: html\/pipe\nSuccessfully copied/
  t.match(await cp('web:/srv/html', join(here, 'out')), { code: 0, stderr: warning })
  t.match(await cp(join(here, 'html'), 'web:/srv/in'), { code: 0, stderr: warning })
  const refused = (path: string) => ({
    code: 1,
    stderr: `Error: ${path} is a device, pipe or socket: those are not copied\n`,
  })
  t.match(await cp('web:/srv/html/pipe', here), refused('/srv/html/pipe'))
  t.match(await cp(join(here, 'html/pipe'), 'web:/srv'), refused(join(here, 'html/pipe')))
  const archive = execFileSync('tar', ['-c', '-C', here, 'html'])
  t.match(await daemon.run('cp - web:/srv/in', { stdin: [archive] }), {
    ...{ code: 0, stderr: /^Warning: 1 devices, pipes or sockets were left out: html\/pipe\n$/ },
  })
})

t.test('cp: what cannot be meant', async (t) => {
  const { daemon } = await aWorld(t)
  t.match(await daemon.run('cp a:/x b:/y'), { code: 125, stderr: /between tasks is not supported/ })
  for (const words of [
    ['web:/x', ''],
    ['', 'web:/x'],
  ]) {
    t.match(await daemon.run(['cp', ...words]), { code: 125, stderr: /cannot be empty/ })
  }
  t.match(await daemon.run('cp ./x /y'), {
    code: 125,
    stderr: /one of the paths must be in a task/,
  })
  t.match(await daemon.run('cp web:/srv -', { terminal: true }), { code: 125, stderr: /terminal/ })
  t.match(await daemon.run('cp - web:/srv', { stdinIsTerminal: true }), { code: 125 })
})

t.test('port-forward leads connections to the task until it is interrupted', async (t) => {
  const { daemon } = await aWorld(t)
  // Waits for the end of what is said, and answers then: ends of one direction must get through.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('end', () => socket.end(`heard ${text.length}`))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const address = server.address()
  const port = address === null || typeof address === 'string' ? 0 : address.port
  const life = new AbortController()
  let local = 0
  const run = daemon.run(`port-forward 0:${port} web`, {
    signal: life.signal,
    onOutput: (text) => {
      local = Number(/:(\d+) ->/.exec(text)?.[1])
    },
  })
  await untilSeen('it listens', async () => (local > 0 ? true : undefined))
  for (const size of [5, 1_000_000]) {
    t.equal(await said(local, Buffer.alloc(size, 'x')), `heard ${size}`)
  }
  t.match(await daemon.run(`port-forward ${local}:80 web`), { code: 1, stderr: /cannot listen/ })
  life.abort()
  t.match(await run, { code: 0, stdout: /^Forwarding from 127\.0\.0\.1:\d+ -> / })
  const ids = new Set(
    daemon.seen.filter(({ method }) => method === 'openStream').map(({ request }) => request),
  )
  t.ok(ids.size > 0)
  t.match(await daemon.run('port-forward 1:2:3 web'), { code: 125, stderr: /invalid ports/ })
  t.match(await daemon.run('port-forward 0 web'), { code: 125, stderr: /invalid ports/ })
  t.match(await daemon.run('port-forward 80 gone'), { code: 1, stderr: /No such container/ })
})

function said(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('end', () => resolve(text))
    socket.end(bytes)
  })
}
