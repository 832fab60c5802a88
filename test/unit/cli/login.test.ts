// login, logout, and what is done with the credentials that they keep.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { authFor, credentialsOf, serverName } from '../../../cli/credentials.ts'
import { SwarmError } from '../../../proto/errors.ts'
import type { ImageProgress } from '../../../proto/gen/tsswarm/v1/daemon.ts'
import { registryOf } from '../../../proto/lib/image-registry.ts'
import type { CliSurroundings } from '../../support/cli.ts'
import { startTestDaemon } from '../../support/daemon-server.ts'

async function aWorld(t: Test) {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const home = await mkdtemp(join(tmpdir(), 'tsswarm-home-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  daemon.daemon['loginRegistry'] = async () => ({})
  const env = { HOME: home }
  return {
    daemon,
    env,
    dir: `${home}/.config/tsswarm`,
    file: `${home}/.config/tsswarm/registries.json`,
    asked: (method: string) => daemon.seen.findLast((call) => call.method === method)?.request,
    run: (line: string, more: CliSurroundings = {}) => daemon.run(line, { env, ...more }),
  }
}

const typed = (text: string): CliSurroundings => ({ stdin: [Buffer.from(text)] })
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const auth = base64(JSON.stringify({ username: 'someone', password: 'secret' }))

t.test('credentials that the registry takes are kept for their user alone', async (t) => {
  const w = await aWorld(t)
  const line = 'login -u someone --password-stdin r.lan:5000'
  t.strictSame(await w.run(line, typed('secret\n')), {
    code: 0,
    stdout: 'Login Succeeded\n',
    stderr: '',
  })
  t.match(w.asked('loginRegistry'), { registry: 'r.lan:5000', auth })
  t.equal((await stat(w.file)).mode & 0o777, 0o600)
  t.equal((await stat(w.dir)).mode & 0o777, 0o700)
  t.same(JSON.parse(await readFile(w.file, 'utf8')), {
    auths: { 'r.lan:5000': { auth: base64('someone:secret') } },
  })
  t.same(await readdir(w.dir), ['registries.json'])
  t.same(await credentialsOf(w.env, 'r.lan:5000'), { username: 'someone', password: 'secret' })
  t.equal(await authFor(w.env, 'r.lan:5000/team/app:1'), auth)
  t.equal(await authFor(w.env, 'other.lan/app'), '')
  t.equal(await authFor({}, 'r.lan:5000/app'), '')
  t.strictSame(await w.run('logout r.lan:5000'), {
    code: 0,
    stdout: 'Removing login credentials for r.lan:5000\n',
    stderr: '',
  })
  t.match(await w.run('logout r.lan:5000'), { code: 0, stdout: 'Not logged in to r.lan:5000\n' })
  t.equal(await authFor(w.env, 'r.lan:5000/team/app:1'), '')
})

t.test('refused credentials are not kept', async (t) => {
  const w = await aWorld(t)
  w.daemon.daemon['loginRegistry'] = async () => {
    throw new SwarmError('UNAUTHENTICATED', 'login attempt failed')
  }
  const run = await w.run('login -u someone --password-stdin', typed('secret'))
  t.match(run, { code: 1, stderr: /login attempt failed/ })
  t.notMatch(run.stderr, /secret/)
  t.match(w.asked('loginRegistry'), { registry: 'docker.io' })
  await t.rejects(stat(w.file), { code: 'ENOENT' })
})

t.test('the terminal is asked for what is missing, the password unseen', async (t) => {
  const w = await aWorld(t)
  const raw: boolean[] = []
  const terminalControl = {
    size: () => ({ rows: 24, columns: 80 }),
    onResize: () => () => {},
    setRaw: (on: boolean) => void raw.push(on),
    onSignal: () => () => {},
  }
  const atTerminal = (text: string): CliSurroundings => ({
    ...typed(text),
    stdinIsTerminal: true,
    terminalControl,
  })
  const first = await w.run('login r.lan', atTerminal('some\x7feone\nsecrex\bt\r'))
  t.match(first, { code: 0, stderr: 'Username: Password: \n' })
  t.match(w.asked('loginRegistry'), { auth: base64('{"username":"someone","password":"secret"}') })
  t.same(raw, [true, false])
  const again = await w.run('login r.lan', atTerminal('\nother\n'))
  t.match(again, { code: 0, stderr: 'Username (someone): Password: \n' })
  t.match(w.asked('loginRegistry'), { auth: base64('{"username":"someone","password":"other"}') })
  t.match(await w.run('login r.lan', atTerminal('a\n\x03')), { code: 1, stderr: /given up/ })
  t.match(await w.run('login r.lan', atTerminal('')), { code: 1, stderr: /given up/ })
})

t.test('what is not enough to log in with', async (t) => {
  const w = await aWorld(t)
  for (const [line, stderr] of [
    ['login', /non TTY device/],
    ['login -u a -p b --password-stdin', /mutually exclusive/],
    ['login --password-stdin', /must provide --username/],
    ['login -u a --password-stdin', /password is empty/],
    ['login -u a:b -p c', /cannot have a colon/],
  ] as const) {
    t.match(await w.run(line), { code: 125, stderr })
  }
  const long = { stdin: [Buffer.alloc(70_000, 'x')] }
  t.match(await w.run('login -u a --password-stdin', long), { code: 125, stderr: /over 64 KiB/ })
  t.match(await w.run('login -u a -p b'), { code: 0, stderr: /^WARNING! Using --password/ })
  t.match(await w.daemon.run('login -u a -p b'), { code: 1, stderr: /set HOME/ })
  t.match(await w.daemon.run('logout'), { code: 0, stdout: 'Not logged in to docker.io\n' })
})

t.test('a file that others can read, or that is damaged, is not used, nor shown', async (t) => {
  const w = await aWorld(t)
  await mkdir(w.dir, { recursive: true })
  for (const text of ['not JSON: secret', '{}', '{"auths": {"r.lan": "secret"}}', 'null']) {
    await writeFile(w.file, text, { mode: 0o600 })
    const run = await w.run('image pull r.lan/app')
    t.match(run, { code: 1, stderr: /registries\.json: it is damaged/ })
    t.notMatch(run.stderr, /secret/)
  }
  await chmod(w.file, 0o640)
  t.match(await w.run('image push r.lan/app'), { code: 1, stderr: /others can read it: chmod 600/ })
  await rm(w.file)
  await mkdir(w.file)
  t.match(await w.run('logout r.lan'), { code: 1, stderr: /cannot use the credentials in/ })
})

t.test('services and stacks get the login of the user who asks for it', async (t) => {
  const w = await aWorld(t)
  const loginOf = (name: string): string | undefined =>
    w.daemon.world.store.view((tx) => {
      const [service] = tx.find('services', 'byName', name)
      return service && tx.get('registryLogins', service.id)?.present?.auth
    })
  const other = base64(JSON.stringify({ username: 'someone', password: 'other' }))
  await w.run('login -u someone --password-stdin r.lan', typed('secret'))
  await w.run('service create -d --name plain r.lan/app:1')
  t.equal(loginOf('plain'), undefined, 'not without being asked')
  t.match(await w.run('service create -d --with-registry-auth --name web r.lan/app:1'), { code: 0 })
  t.equal(loginOf('web'), auth)
  const open = await w.run('service create -d --with-registry-auth --name open o.lan/app')
  t.match(open, { code: 0, stderr: /not logged in to o\.lan: no credentials are sent/ })
  t.equal(loginOf('open'), undefined)

  await w.run('login -u someone --password-stdin r.lan', typed('other'))
  await w.run('service update -d --image r.lan/app:2 web')
  t.equal(loginOf('web'), auth, 'an update keeps them')
  await w.run('service update -d --with-registry-auth web')
  t.equal(loginOf('web'), other)
  await w.run('service update -d --with-registry-auth --image o.lan/app web')
  t.equal(loginOf('web'), other, 'there is no login for that registry')

  const file = join(w.env.HOME, 's.yml')
  const services = { a: { image: 'r.lan/app' }, b: { image: 'o.lan/app' }, c: { image: 'o.lan/b' } }
  await writeFile(file, JSON.stringify({ services }))
  await w.run('network create --ingress ingress')
  t.match(await w.run(`stack deploy -c ${file} s`), { code: 0, stderr: '' })
  t.equal(loginOf('s_a'), undefined)
  const version = (): number | undefined =>
    w.daemon.world.store.view((tx) => [...tx.find('services', 'byName', 's_a')][0]?.version)
  const before = version()
  const sent = await w.run(`stack deploy -c ${file} --with-registry-auth s`)
  t.match(sent, { code: 0, stderr: /^Warning: you are not logged in to o\.lan: .*\n$/ }, 'once')
  t.equal(loginOf('s_a'), other, 'also of a service that stays as it is')
  t.equal(version(), before)
  services.a.image = 'r.lan/app:2'
  await writeFile(file, JSON.stringify({ services }))
  await w.run('login -u someone --password-stdin r.lan', typed('secret'))
  await w.run(`stack deploy -c ${file} --with-registry-auth s`)
  t.equal(loginOf('s_a'), auth)
  for (const line of ['service inspect s_a', 'stack config -c', `stack plan -c ${file} s`]) {
    const shown = await w.run(line.endsWith('-c') ? `${line} ${file}` : line)
    t.match(shown, { code: 0 })
    t.notMatch(shown.stdout, new RegExp(`secret|registryAuth|${auth.slice(0, 12)}`, 'i'))
  }
})

t.test('pull, push and the question for platforms go with the credentials', async (t) => {
  const w = await aWorld(t)
  const step = (facts: Partial<ImageProgress>): ImageProgress => ({
    ...{ step: '', subject: '', doneBytes: 0, totalBytes: 0, image: undefined },
    ...facts,
  })
  const steps = async function* (): AsyncGenerator<ImageProgress> {
    yield step({ step: 'pushed', subject: 'r.lan/app:1' })
    yield step({ step: 'digest: sha256:ab size: 3', subject: '1' })
  }
  Object.assign(w.daemon.daemon, { pullImage: steps, pushImage: steps })
  await w.run('login -u someone --password-stdin r.lan', typed('secret'))
  await w.run('image pull r.lan/app:1')
  t.match(w.asked('pullImage'), { reference: 'r.lan/app:1', auth })
  t.strictSame(await w.run('image push r.lan/app:1'), {
    code: 0,
    stdout:
      'The push refers to repository [r.lan/app]\nr.lan/app:1: pushed\n1: digest: sha256:ab size: 3\n',
    stderr: '',
  })
  t.match(w.asked('pushImage'), { reference: 'r.lan/app:1', auth, allTags: false })
  t.match(await w.run('image push -q -a r.lan/app'), { code: 0, stdout: 'r.lan/app\n' })
  t.match(w.asked('pushImage'), { reference: 'r.lan/app', allTags: true })
  await w.run('service create -d r.lan/app:1')
  t.match(w.asked('resolveImage'), { reference: 'r.lan/app:1', auth })
})

t.test('a registry goes by one name', async (t) => {
  t.equal(serverName('https://index.docker.io/v1/'), 'docker.io')
  t.equal(serverName('https://r.lan:5000/v2/'), 'r.lan:5000')
  t.equal(registryOf('nginx'), 'docker.io')
  t.equal(registryOf('team/app'), 'docker.io')
  t.equal(registryOf('index.docker.io/team/app'), 'docker.io')
  t.equal(registryOf('localhost/app'), 'localhost')
})
