// The packages: that what they hold is all that is needed, and that the Debian one asks for what the daemon insists on.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkAdvice } from '../../../cli/host/advice.ts'
import { checkHost, checkReach, type HostProbes } from '../../../cli/host/requirements.ts'
import { version } from '../../../proto/version.ts'

const run = (file: string, ...argv: readonly string[]): string =>
  execFileSync(file, argv, { encoding: 'utf8', timeout: 120_000 })

const folder = t.testdir({})
const [archive = '', deb = ''] = run('bash', 'packaging/build', folder).trim().split('\n')

/** Packages of Debian that a field of the control file names. */
function named(field: string): readonly string[] {
  const text = run('dpkg-deb', '--field', deb, field)
  return text
    .trim()
    .split(/, */)
    .map((one) => one.split(' ')[0] ?? '')
}

t.test('the Debian package depends on all that the daemon insists on', async (t) => {
  const bare: HostProbes = {
    platform: 'linux',
    nodeVersion: '20.19.0',
    userId: 0,
    read: async () => undefined,
    find: async () => undefined,
    run: async () => ({ code: 1, stdout: '', stderr: '' }),
  }
  const needed = (await checkHost(bare)).flatMap(({ packages }) => packages)
  const wished = (await checkReach(bare)).flatMap(({ packages }) => packages)
  const depends = named('Depends')
  t.ok(needed.length >= 10)
  t.same(
    needed.filter((one) => !depends.includes(one)),
    [],
  )
  const recommended = [...depends, ...named('Recommends')]
  t.same(
    wished.filter((one) => !recommended.includes(one)),
    [],
  )
  const disk = { folder: '/', trial: async () => Promise.reject(new Error('none')) }
  const helpful = (await checkAdvice(bare, disk))
    .filter(({ found }) => found.startsWith('not installed'))
    .flatMap(({ packages }) => packages)
  // Of the system itself.
  const known = [...recommended, 'bsdutils']
  t.same(
    helpful.filter((one) => !known.includes(one)),
    [],
  )
  t.ok(helpful.length >= 5)
  t.equal(run('dpkg-deb', '--field', deb, 'Version').trim(), version)
})

t.test('it holds program, unit, settings, manual and completions, all of root', async (t) => {
  const lines = run('dpkg-deb', '--contents', deb).trim().split('\n')
  t.same(
    lines.filter((line) => !line.includes(' root/root ')),
    [],
  )
  const files = lines.map((line) => line.replace(/^.*\d\d:\d\d \./, ''))
  for (const file of [
    '/usr/bin/tsswarm -> ../lib/tsswarm/tsswarm.js',
    '/usr/lib/tsswarm/tsswarm.js',
    '/usr/lib/tsswarm/daemon-main.js',
    '/usr/lib/tsswarm/dns-main.js',
    '/usr/lib/systemd/system/tsswarm.service',
    '/etc/tsswarm/daemon.yaml',
    '/usr/share/man/man1/tsswarm.1.gz',
    '/usr/share/man/man1/tsswarm-service-create.1.gz',
    '/usr/share/bash-completion/completions/tsswarm',
    '/usr/share/zsh/vendor-completions/_tsswarm',
    '/usr/share/fish/vendor_completions.d/tsswarm.fish',
  ]) {
    t.ok(files.includes(file), file)
  }
  const place = join(folder, 'control')
  run('dpkg-deb', '--control', deb, place)
  t.equal(readFileSync(join(place, 'conffiles'), 'utf8'), '/etc/tsswarm/daemon.yaml\n')
  for (const script of ['postinst', 'prerm', 'postrm']) run('sh', '-n', join(place, script))
})

t.test('the program runs from where it is installed', async (t) => {
  const root = join(folder, 'root')
  run('dpkg-deb', '--extract', deb, root)
  t.equal(run(join(root, 'usr/bin/tsswarm'), '--version'), `tsswarm version ${version}\n`)
  const settings = join(root, 'etc/tsswarm/daemon.yaml')
  const printed = run(
    join(root, 'usr/bin/tsswarm'),
    'daemon',
    '--config',
    settings,
    '--print-config',
  )
  t.match(printed, /^stateDir: \/var\/lib\/tsswarm +# default\n/)
})

t.test('the unit leaves containers alone, and starts what is installed', async (t) => {
  const unit = readFileSync('packaging/tsswarm.service', 'utf8')
  for (const line of ['Type=notify', 'KillMode=process', 'Delegate=yes', 'TasksMax=infinity']) {
    t.ok(unit.split('\n').includes(line), line)
  }
  t.match(unit, '\nExecStart=/usr/bin/tsswarm daemon --config /etc/tsswarm/daemon.yaml\n')
})

t.test('the npm package needs no other, and runs', async (t) => {
  const place = t.testdir({})
  run('tar', '-xzf', archive, '-C', place)
  const manifest: unknown = JSON.parse(readFileSync(join(place, 'package/package.json'), 'utf8'))
  t.match(manifest, { name: 'tsswarm', version, bin: { tsswarm: './dist/tsswarm.js' } })
  t.notHas(manifest, { dependencies: {} })
  t.notHas(manifest, { private: true })
  const program = join(place, 'package/dist/tsswarm.js')
  t.equal(run(program, '--version'), `tsswarm version ${version}\n`)
})
