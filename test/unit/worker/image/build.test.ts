import t from 'tap'
import {
  type BuildOptions,
  buildArguments,
  buildError,
  labelFile,
} from '../../../../worker/image/build.ts'
import { parseMirror, registriesConf } from '../../../../worker/image/registries-conf.ts'

const options: BuildOptions = {
  ...{ tags: [], dockerfile: '', buildArgs: [], target: '', noCache: false, pull: false },
  ...{ network: '', credentials: [], labels: [] },
}
const place = {
  files: {
    dockerfile: '/t/Dockerfile',
    id: '/t/id',
    log: '/t/log',
    auth: '/a/auth',
    runtime: '/a/rt',
  },
  transfer: { tmpDir: '/t', authDir: '/a', close: async () => {} },
  context: '/t/context',
  tags: ['docker.io/lab/a:1', 'docker.io/lab/a:2'],
  labels: '',
  cgroup: '/tsswarm/builds',
}

function argumentsOf(over: Partial<BuildOptions> = {}): readonly string[] {
  return buildArguments({ ...options, ...over }, place)
}

t.test('the options of a build are flags of buildah', async (t) => {
  const plain = argumentsOf()
  t.equal(plain.at(-1), '/t/context')
  t.ok(plain.includes('--pull=false'), 'only what is not here')
  t.ok(plain.includes('--network=host'))
  t.ok(plain.includes('--file=/t/context/Dockerfile'))
  t.same(
    plain.filter((word) => word.startsWith('--tag=')),
    ['--tag=docker.io/lab/a:1', '--tag=docker.io/lab/a:2'],
  )
  t.notOk(plain.some((word) => /^--(target|no-cache|build-arg)/.test(word)))
  const all = argumentsOf({
    ...{ dockerfile: 'FROM x', buildArgs: ['A=1', '--b'], target: 'test', noCache: true },
    ...{ pull: true, network: 'none' },
  })
  for (const word of [
    ...['--file=/t/Dockerfile', '--build-arg=A=1', '--build-arg=--b', '--target=test'],
    ...['--no-cache', '--pull=always', '--network=none'],
  ]) {
    t.ok(all.includes(word), word)
  }
})

t.test('what buildah complains of is told', async (t) => {
  const of = (stderr: string) => buildError(stderr, '/t/context')
  t.match(of('noise\nError: building at STEP "RUN x": exit status 7\n'), {
    code: 'INVALID_ARGUMENT',
    message: 'the build failed: building at STEP "RUN x": exit status 7',
  })
  t.match(of('Error: checking on sources under "/t/context": none'), {
    message: /under "\.": none/,
  })
  t.match(of('spawn-helper: 1: exec: buildah: not found'), {
    code: 'HOST_UNFIT',
    message: /apt-get install buildah/,
  })
  t.match(of('write /x: no space left on device'), { code: 'RESOURCE_EXHAUSTED' })
})

t.test('registries are configured for the tools', async (t) => {
  t.equal(
    registriesConf({
      insecureRegistries: ['r.lan:5000'],
      registryMirrors: ['http://m.lan:5000/hub/', 'r.lan:5000=n.lan'].map(parseMirror),
    }),
    [
      'unqualified-search-registries = ["docker.io"]',
      'short-name-mode = "disabled"',
      '\n[[registry]]\nlocation = "r.lan:5000"\ninsecure = true',
      '\n[[registry.mirror]]\nlocation = "n.lan"\ninsecure = false',
      '\n[[registry]]\nlocation = "docker.io"\ninsecure = false',
      '\n[[registry.mirror]]\nlocation = "m.lan:5000/hub"\ninsecure = true\n',
    ].join('\n'),
  )
})

t.test('a mirror names whose it is, and how it speaks', async (t) => {
  t.same(parseMirror('https://m.lan'), {
    registry: 'docker.io',
    location: 'm.lan',
    insecure: false,
  })
  t.same(parseMirror('r.lan=http://[::1]:5000'), {
    ...{ registry: 'r.lan', location: '[::1]:5000', insecure: true },
  })
  for (const bad of ['', 'ftp://m.lan', 'a b', 'r.lan=', '=m.lan', 'https://m.lan/"', 'm.lan:x']) {
    t.throws(() => parseMirror(bad), /must be \[REGISTRY=\]URL/, bad)
  }
})

t.test('labels are an instruction that says them as they are', async (t) => {
  t.equal(labelFile([]), '')
  t.equal(labelFile(['a=1', 'b', "c=it's $X"]), "LABEL 'a'='1' 'b'='' 'c'='it'\\''s $X'\n")
  for (const label of ['=1', '', 'a=1\nRUN x', 'a=\r']) {
    t.throws(() => labelFile([label]), { code: 'INVALID_ARGUMENT', message: /must be NAME=VALUE/ })
  }
})
