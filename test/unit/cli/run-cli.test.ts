// From words to exit codes, without a daemon.

import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { connectError } from '../../../cli/connect-error.ts'
import { SwarmError } from '../../../proto/errors.ts'
import { version } from '../../../proto/version.ts'
import { runCommandLine } from '../../support/cli.ts'
import { golden } from '../../support/golden.ts'

t.test('help of program and groups', async (t) => {
  const program = await runCommandLine('--help')
  t.equal(program.code, 0)
  golden(t, 'test/golden/cli/help.txt', program.stdout)
  t.strictSame(await runCommandLine(''), program)
  const group = await runCommandLine('service')
  golden(t, 'test/golden/cli/help-service.txt', group.stdout)
  t.strictSame(await runCommandLine('service --help'), group)
  t.strictSame(await runCommandLine('help'), program)
  t.strictSame(await runCommandLine('help service'), group)
  const command = await runCommandLine('service list --help')
  t.strictSame(await runCommandLine('help service list'), command)
  t.match(command.stdout, /^Usage: {2}tsswarm service ls \[OPTIONS\]/)
  t.match(command.stdout, /Aliases:\n {2}tsswarm service ls, tsswarm service list/)
})

t.test('the version is that of package.json', async (t) => {
  t.equal(JSON.parse(readFileSync('package.json', 'utf8')).version, version)
  t.match(await runCommandLine('-v'), { code: 0, stdout: `tsswarm version ${version}\n` })
})

t.test('usage errors end with 125 and a way to help', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['service ls --foo', "unknown flag: --foo\nSee 'tsswarm service ls --help'.\n"],
    [
      'service crate',
      '"crate" is not a command of "tsswarm service" (did you mean "create"?)\nSee \'tsswarm service --help\'.\n',
    ],
    [
      'pull x',
      '"pull" is not a tsswarm command (did you mean "image pull"?)\nSee \'tsswarm --help\'.\n',
    ],
    ['hlep', '"hlep" is not a tsswarm command (did you mean "help"?)\nSee \'tsswarm --help\'.\n'],
    ['nod ls', '"nod" is not a tsswarm command (did you mean "node"?)\nSee \'tsswarm --help\'.\n'],
    ['--foo', "unknown flag: --foo\nSee 'tsswarm --help'.\n"],
    ['service --foo', "unknown flag: --foo\nSee 'tsswarm service --help'.\n"],
    [
      'node rm',
      '"tsswarm node rm" requires at least 1 argument: NODE [NODE...]\nSee \'tsswarm node rm --help\'.\n',
    ],
    [
      '-H tcp://1.2.3.4 info',
      'invalid host "tcp://1.2.3.4": give the path of a unix socket, as in -H /run/tsswarm/tsswarm.sock\nSee \'tsswarm --help\'.\n',
    ],
    [
      'service ls --filter foo',
      'bad format of filter "foo": write key=value\nSee \'tsswarm service ls --help\'.\n',
    ],
    [
      'service scale web',
      'invalid scale specifier "web": write SERVICE=REPLICAS\nSee \'tsswarm service scale --help\'.\n',
    ],
    [
      'service scale web=-1',
      'invalid scale specifier "web=-1": "-1" is not a number of replicas\nSee \'tsswarm service scale --help\'.\n',
    ],
    [
      'swarm join 1.2.3.4',
      'a join token is needed: run "tsswarm swarm join-token worker" on a manager and pass it with --token\nSee \'tsswarm swarm join --help\'.\n',
    ],
    [
      'swarm join-token boss',
      'unknown role "boss": it is worker or manager\nSee \'tsswarm swarm join-token --help\'.\n',
    ],
    [
      'completion tcsh',
      'unknown shell "tcsh": it is bash, zsh or fish\nSee \'tsswarm completion --help\'.\n',
    ],
    [
      'service logs --tail x web',
      'invalid argument "x" for "-n, --tail" flag: must be a number or "all"\nSee \'tsswarm service logs --help\'.\n',
    ],
    [
      'service inspect --pretty -f json web',
      "--format is incompatible with --pretty: give one of them\nSee 'tsswarm service inspect --help'.\n",
    ],
    [
      'node inspect --pretty -f json self',
      "--format is incompatible with --pretty: give one of them\nSee 'tsswarm node inspect --help'.\n",
    ],
    [
      'service logs --since x web',
      'invalid argument "x" for "--since" flag: must be a time such as 2024-01-02T03:04:05Z, or a duration such as 42m\nSee \'tsswarm service logs --help\'.\n',
    ],
  ]
  for (const [line, stderr] of cases) {
    t.strictSame(await runCommandLine(line), { code: 125, stdout: '', stderr }, line)
  }
  const terminal = await runCommandLine('image load', { stdinIsTerminal: true })
  t.match(terminal, { code: 125, stderr: /stdin is a terminal: use -i FILE/ })
})

t.test("Swarm's commands that are not there say what to do", async (t) => {
  t.match(await runCommandLine('swarm unlock'), {
    code: 1,
    stderr: /^Error: "tsswarm swarm unlock" is not available in this version: managers/,
  })
  t.match(await runCommandLine('service create --log-driver syslog nginx'), {
    code: 1,
    stderr: /"syslog" is not available: .* \(flag --log-driver\)/,
  })
  t.match(await runCommandLine('swarm init --autolock'), {
    code: 1,
    stderr: /flag --autolock cannot be used/,
  })
})

t.test('errors of the daemon are told, the program’s own with a stack', async (t) => {
  const refused = await runCommandLine('node ls', {
    connect: async () => {
      throw new SwarmError('NOT_A_MANAGER', 'this node is not a manager')
    },
  })
  t.strictSame(refused, { code: 1, stdout: '', stderr: 'Error: this node is not a manager\n' })
  t.match(await runCommandLine('node ls'), {
    code: 1,
    stderr: /^Error: this test has no daemon\n.*\n +at /,
  })
})

t.test('the socket is the flag’s, else the variable’s, else the default', async (t) => {
  const seen: string[] = []
  const connect = async (path: string): Promise<never> => {
    seen.push(path)
    throw new SwarmError('DAEMON_NOT_RUNNING', 'no')
  }
  await runCommandLine('-H unix:///a.sock info', { connect, env: { TSSWARM_HOST: '/b.sock' } })
  await runCommandLine('--host=/c.sock info', { connect })
  await runCommandLine('info', { connect, env: { TSSWARM_HOST: 'unix:/b.sock' } })
  await runCommandLine('info', { connect })
  t.strictSame(seen, ['/a.sock', '/c.sock', '/b.sock', '/run/tsswarm/tsswarm.sock'])
})

t.test('an interrupted command ends with 130', async (t) => {
  const controller = new AbortController()
  const run = await runCommandLine('info', {
    signal: controller.signal,
    connect: async () => {
      controller.abort()
      throw new SwarmError('CANCELLED', 'interrupted')
    },
  })
  t.strictSame(run, { code: 130, stdout: '', stderr: '' })
})

t.test('why a socket cannot be opened', async (t) => {
  const error = (code: string) =>
    connectError('/run/x.sock', Object.assign(new Error(code), { code }))
  t.match(error('ENOENT'), {
    code: 'DAEMON_NOT_RUNNING',
    message: /is not running: nothing listens on \/run\/x\.sock/,
  })
  t.match(error('ECONNREFUSED'), { code: 'DAEMON_NOT_RUNNING' })
  t.match(error('EACCES'), {
    code: 'PERMISSION_DENIED',
    message: /join the group tsswarm \("usermod -aG tsswarm \$USER"\)/,
  })
  t.match(connectError('/', Object.assign(new Error(''), { code: 'EACCES' })), {
    message: /Run the command as root$/,
  })
  t.match(error('EINVAL'), { code: 'USAGE' })
  t.match(connectError(`/${'x'.repeat(107)}`, Object.assign(new Error(''), { code: 'ENOENT' })), {
    code: 'USAGE',
    message: /longer than 107 bytes$/,
  })
  t.match(error('EWHAT'), { code: 'UNAVAILABLE', message: /EWHAT/ })
})

t.test('completion scripts are printed', async (t) => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await runCommandLine(`completion ${shell}`)
    t.equal(code, 0)
    t.match(stdout, /tsswarm __complete -- /)
  }
})

t.test('candidates for the word being typed', async (t) => {
  const words = async (...typed: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await runCommandLine(['__complete', '--', ...typed])
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t')[0] ?? '')
  }
  t.strictSame(await words('s'), ['swarm', 'service', 'stack', 'secret', 'stats'])
  t.strictSame(await words('service', 'i'), ['inspect'])
  t.strictSame(await words('service', 'create', '--repl'), [
    '--replicas',
    '--replicas-max-per-node',
  ])
  t.strictSame(await words('service', 'create', '--restart-condition', ''), [
    'none',
    'on-failure',
    'any',
  ])
  t.strictSame(await words('service', 'create', 'nginx', '--'), [])
  t.strictSame(await words('swarm', 'join-token', 'm'), ['manager'])
  t.strictSame(await words('-H', '/x.sock', 'node', 'pro'), ['promote'])
  t.strictSame(await words('--'), ['--help', '--host', '--version'])
  t.strictSame(await words('nonsense', ''), [])
  t.strictSame(await words('service', 'nonsense', ''), [])
  t.strictSame(await words('service', 'inspect', ''), [], 'no names without a daemon')
  t.strictSame(await words('service', 'ls', 'x', ''), [], 'no more arguments')
})

t.test('bash completes with the printed script', async (t) => {
  const directory = t.testdir()
  const program = join(directory, 'tsswarm')
  writeFileSync(
    program,
    `#!/bin/sh\nexec ${process.execPath} ${resolve('build/cli/main.js')} "$@"\n`,
  )
  chmodSync(program, 0o755)
  const ask = (...words: readonly string[]): string => {
    const script = [
      'source <(tsswarm completion bash)',
      `COMP_WORDS=(tsswarm ${words.map((word) => `'${word}'`).join(' ')})`,
      `COMP_CWORD=${words.length}`,
      '_tsswarm',
      'echo "$COMPREPLY"',
    ].join('\n')
    const env = { ...process.env, PATH: `${directory}:${process.env['PATH'] ?? ''}` }
    return execFileSync('bash', ['-c', script], { env, encoding: 'utf8' }).trim()
  }
  t.equal(ask('serv'), 'service')
  t.equal(ask('service', 'p'), 'ps')
  t.equal(ask('service', 'create', '--restart-c'), '--restart-condition')
})
