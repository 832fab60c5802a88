// The image commands that ask no registry, against a daemon in this process that answers what a test says.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import type { ImageProgress } from '../../../proto/gen/tsswarm/v1/daemon.ts'
import type { InspectImageResponse, SaveImagesChunk } from '../../../proto/gen/tsswarm/v1/image.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { golden } from '../../support/golden.ts'

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

/** The last request of a method. */
function asked(daemon: TestDaemon, method: string): unknown {
  return daemon.seen.findLast((call) => call.method === method)?.request
}

const config = {
  architecture: 'amd64',
  os: 'linux',
  created: '2024-01-02T03:04:05Z',
  author: 'somebody',
  config: { Cmd: ['/bin/serve'], Env: ['A=1'], Labels: { stage: 'test' } },
  rootfs: { type: 'layers', diff_ids: ['sha256:1', 'sha256:2'] },
  history: [
    { created: '2023-01-02T03:04:05Z', created_by: 'ADD file:1 in /', comment: 'base' },
    { created: '2024-01-02T03:04:05Z', created_by: `RUN ${'x'.repeat(60)}\ty` },
    { created: '2024-01-02T03:04:05Z', created_by: 'CMD ["/bin/serve"]', empty_layer: true },
  ],
}

function anImage(over: Partial<InspectImageResponse> = {}): InspectImageResponse {
  return {
    id: `sha256:${'ab'.repeat(32)}`,
    names: ['app:1'],
    digests: ['app@sha256:cd'],
    sizeBytes: 5_000_000,
    config: JSON.stringify(config),
    layers: [
      { sizeBytes: 4_000_000, dir: '/store/1/diff' },
      { sizeBytes: 1_000_000, dir: '/store/2/diff' },
    ],
    ...over,
  }
}

t.test('image ls: filters', async (t) => {
  const d = await aDaemon(t)
  d.daemon['listImages'] = async () => ({ images: [] })
  const line = 'image ls -a -f dangling=true --filter label=a --filter label=b=c nginx'
  t.match(await d.run(line), { code: 0, stdout: /^REPOSITORY/ })
  t.match(asked(d, 'listImages'), {
    reference: 'nginx',
    filters: [
      { key: 'dangling', values: ['true'] },
      { key: 'label', values: ['a', 'b=c'] },
    ],
  })
  await d.run('image ls --filter until=1700000000')
  t.match(asked(d, 'listImages'), { filters: [{ key: 'until', values: ['1700000000000'] }] })
  for (const filter of ['until=soon', 'dangling']) {
    t.match(await d.run(`image ls --filter ${filter}`), { code: 125, stderr: /filter/ })
  }
})

t.test("flags that Docker's image commands have besides say what to do", async (t) => {
  const d = await aDaemon(t)
  for (const [line, why] of [
    ['image build --platform linux/arm64 .', /of one platform/],
    ['image build --secret id=x .', /secrets of the service/],
    ['image build --ulimit nofile=1 .', /what the host gives them/],
    ['image rm --no-prune x', /layers/],
  ] as const) {
    const { code, stderr } = await d.run(line)
    t.equal(code, 1, line)
    t.match(stderr, /^Error: flag --[a-z-]+ cannot be used: /, line)
    t.match(stderr, why)
  }
  t.match(await d.run('image pull --nosuch x'), { code: 125, stderr: /^unknown flag: --nosuch/ })
})

t.test('image pull', async (t) => {
  const d = await aDaemon(t)
  const image = (name: string) => ({
    ...{ id: `sha256:${'ab'.repeat(32)}`, names: [name], sizeBytes: 1, createdAtMs: 0 },
    digests: [`app@sha256:${'cd'.repeat(32)}`],
  })
  const step = { step: '', subject: '', doneBytes: 0, totalBytes: 0, image: undefined }
  d.daemon['pullImage'] = async function* () {
    yield { ...step, step: 'up to date', subject: 'app:latest' }
    yield { ...step, step: 'done', subject: 'app:latest', image: image('app:latest') }
  }
  t.strictSame(await d.run('image pull --platform linux/arm64 team/app'), {
    code: 0,
    stderr: '',
    stdout: `Using default tag: latest
app:latest: up to date
app:latest: done
Digest: sha256:${'cd'.repeat(32)}
Status: Image is up to date for team/app:latest
docker.io/team/app:latest
`,
  })
  t.match(asked(d, 'pullImage'), {
    ...{ reference: 'team/app', platform: 'linux/arm64', allTags: false },
  })

  d.daemon['pullImage'] = async function* () {
    yield { ...step, step: 'done', subject: 'r.lan/app:1' }
    yield { ...step, step: `digest: sha256:${'cd'.repeat(32)}`, subject: '1' }
    yield { ...step, step: 'done', subject: 'r.lan/app:1', image: image('r.lan/app:1') }
    yield { ...step, step: 'done', subject: 'r.lan/app:2', image: image('r.lan/app:2') }
  }
  t.strictSame(await d.run('image pull -a r.lan/app'), {
    code: 0,
    stderr: '',
    stdout: `r.lan/app:1: done
1: digest: sha256:${'cd'.repeat(32)}
r.lan/app:2: done
r.lan/app
`,
  })
  t.match(asked(d, 'pullImage'), { reference: 'r.lan/app', platform: '', allTags: true })
  t.match(await d.run('image pull -qa nginx'), { code: 0, stdout: 'docker.io/library/nginx\n' })
})

t.test('image push', async (t) => {
  const d = await aDaemon(t)
  const step = { subject: '1', doneBytes: 0, totalBytes: 0, image: undefined }
  d.daemon['pushImage'] = async function* () {
    yield { ...step, step: 'digest: sha256:cd size: 7' }
  }
  t.strictSame(await d.run('image push team/app'), {
    code: 0,
    stderr: '',
    stdout: `Using default tag: latest
The push refers to repository [docker.io/team/app]
1: digest: sha256:cd size: 7
`,
  })
  t.match(await d.run('image push r.lan:5000/app:1'), {
    stdout: /^The push refers to repository \[r\.lan:5000\/app\]\n1: /,
  })
  t.match(await d.run('image push -a r.lan:5000/app'), {
    stdout: /^The push refers to repository \[r\.lan:5000\/app\]\n1: /,
  })
  t.strictSame((await d.run('image push -q app')).stdout, 'docker.io/library/app:latest\n')
})

t.test('image load tells of all images of an archive', async (t) => {
  const d = await aDaemon(t)
  const step = { step: 'done', subject: '', doneBytes: 0, totalBytes: 0 }
  const image = (id: string, names: readonly string[]) => ({
    ...step,
    image: { id: `sha256:${id}`, names, digests: [], sizeBytes: 1, createdAtMs: 0 },
  })
  const load = async (
    _: unknown,
    incoming: AsyncIterable<unknown>,
    send: (message: ImageProgress) => Promise<void>,
  ): Promise<void> => {
    for await (const piece of incoming) t.ok(piece)
    await send(image('a', ['app:1', 'app:2']))
    await send(image('b', ['other:1']))
    await send(image('c', []))
  }
  d.daemon['loadImage'] = load as TestDaemon['daemon'][string]
  const stdin = [Buffer.from('x')]
  t.match(await d.run('image load', { stdin, terminal: true }), { stdout: /done/ })
  t.strictSame(await d.run('image load', { stdin }), {
    code: 0,
    stderr: '',
    stdout:
      'Loaded image: app:1\nLoaded image: app:2\nLoaded image: other:1\nLoaded image ID: sha256:c\n',
  })
  t.match(await d.run('image load -i /none/x.tar'), {
    code: 1,
    stderr: 'Error: cannot read /none/x.tar: no such file or directory\n',
  })
})

t.test('image rm: what is not there is no error with --force', async (t) => {
  const d = await aDaemon(t)
  d.daemon['removeImage'] = async () => {
    throw new SwarmError('IMAGE_NOT_FOUND', 'No such image: none')
  }
  const stderr = 'Error: No such image: none\n'
  t.strictSame(await d.run('image rm none'), { code: 1, stdout: '', stderr })
  t.strictSame(await d.run('image rm -f none'), { code: 0, stdout: '', stderr })
  d.daemon['removeImage'] = async () => {
    throw new SwarmError('IN_USE', 'conflict')
  }
  t.match(await d.run('image rm -f none'), { code: 1 })
})

t.test('image tag', async (t) => {
  const d = await aDaemon(t)
  d.daemon['tagImage'] = async () => ({})
  t.strictSame(await d.run('image tag app:1 r.lan/app:1'), { code: 0, stdout: '', stderr: '' })
  t.match(asked(d, 'tagImage'), { source: 'app:1', target: 'r.lan/app:1' })
  t.match(await d.run('image tag app:1'), { code: 125, stderr: /requires exactly 2 arguments/ })
})

t.test('image inspect', async (t) => {
  const d = await aDaemon(t)
  d.daemon['inspectImage'] = async () => anImage()
  golden(t, 'test/golden/cli/image-inspect.txt', (await d.run('image inspect app:1')).stdout)
  const one = await d.run(['image', 'inspect', '-f', '{{json .Config.Cmd}} {{.Os}}', 'app:1'])
  t.equal(one.stdout, '["/bin/serve"] linux\n')
  d.daemon['inspectImage'] = async () =>
    anImage({ config: '{"variant":"v7"}', layers: [{ sizeBytes: 1, dir: '/store/1/diff' }] })
  const bare = JSON.parse((await d.run('image inspect app:1')).stdout)
  t.match(bare, [{ Variant: 'v7', GraphDriver: { Data: { UpperDir: '/store/1/diff' } } }])
  d.daemon['inspectImage'] = async () => anImage({ config: '{', layers: [] })
  t.match(await d.run('image inspect app:1'), { code: 1, stderr: /is damaged/ })
  d.daemon['inspectImage'] = async () => {
    throw new SwarmError('IMAGE_NOT_FOUND', 'No such image: none')
  }
  t.match(await d.run('image inspect none other'), { code: 1, stdout: '[]\n', stderr: /none/ })
})

t.test('image history', async (t) => {
  const d = await aDaemon(t)
  d.daemon['inspectImage'] = async () => anImage()
  const format = '{{.ID}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}'
  t.equal(
    (await d.run(['image', 'history', '--format', format, 'app:1'])).stdout,
    'abababababab|CMD ["/bin/serve"]|0B|\n' +
      `<missing>|RUN ${'x'.repeat(40)}…|1MB|\n` +
      '<missing>|ADD file:1 in /|4MB|base\n',
  )
  t.match(await d.run('image history app:1'), {
    stdout: /^IMAGE +CREATED +CREATED BY +SIZE +COMMENT\nabababababab +\d+ (months|years) ago/,
  })
  t.match(await d.run('image history -H=false --no-trunc app:1'), {
    stdout: /CREATED AT[\s\S]*2023-01-02T03:04:05Z +ADD file:1 in \/ +4000000 +base/,
  })
  t.match(await d.run('image history -q app:1'), { stdout: 'abababababab\n<missing>\n<missing>\n' })
  d.daemon['inspectImage'] = async () => anImage({ config: '{}' })
  const untold = await d.run(['image', 'history', '--format', '{{.Size}} {{.CreatedSince}}', 'x'])
  t.equal(untold.stdout, '1MB N/A\n4MB N/A\n', 'layers without a history are there too')
})

t.test('image save', async (t) => {
  const d = await aDaemon(t)
  const dir = await mkdtemp(join(tmpdir(), 'tsswarm-save-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  d.daemon['saveImages'] = async function* (): AsyncGenerator<SaveImagesChunk> {
    yield { chunk: Buffer.from('one') }
    yield { chunk: Buffer.from('two') }
  }
  t.strictSame(await d.run('image save app:1 b'), { code: 0, stdout: 'onetwo', stderr: '' })
  t.match(asked(d, 'saveImages'), { references: ['app:1', 'b'] })
  t.match(await d.run('image save app:1', { terminal: true }), { code: 125, stderr: /use -o/ })
  t.strictSame(await d.run(`image save -o ${dir}/app.tar app:1`), {
    code: 0,
    stdout: '',
    stderr: '',
  })
  t.equal(await readFile(`${dir}/app.tar`, 'utf8'), 'onetwo')
  d.daemon['saveImages'] = async function* (): AsyncGenerator<SaveImagesChunk> {
    yield { chunk: Buffer.from('half') }
    throw new SwarmError('RESOURCE_EXHAUSTED', 'no space')
  }
  t.match(await d.run(`image save -o ${dir}/app.tar app:1`), { code: 1, stderr: /no space/ })
  t.equal(await readFile(`${dir}/app.tar`, 'utf8'), 'onetwo', 'a half one replaces nothing')
  t.same(await readdir(dir), ['app.tar'])
  t.match(await d.run(`image save -o ${dir}/none/app.tar app:1`), {
    code: 1,
    stderr: /^Error: cannot write .*none\/app\.tar: no such file or directory$/m,
  })
})

t.test('image prune', async (t) => {
  const d = await aDaemon(t)
  d.daemon['pruneImages'] = async () => ({
    untagged: ['app:1'],
    deleted: ['sha256:ab'],
    reclaimedBytes: 5_000_000,
  })
  t.match(await d.run('image prune'), { code: 125, stderr: /without a name: say so with --force/ })
  t.match(await d.run('image prune -a'), { code: 125, stderr: /that no container uses/ })
  t.strictSame(await d.run('image prune -f'), {
    code: 0,
    stdout: 'Deleted Images:\nuntagged: app:1\ndeleted: sha256:ab\n\nTotal reclaimed space: 5MB\n',
    stderr: '',
  })
  t.match(asked(d, 'pruneImages'), { all: false, untilMs: 0, labels: [], otherLabels: [] })
  const filters = '--filter until=2024-01-02T03:04:05Z --filter label=a --filter label!=b=c'
  await d.run(`image prune -f --filter dangling=false ${filters}`)
  t.match(asked(d, 'pruneImages'), {
    ...{ all: true, untilMs: Date.parse('2024-01-02T03:04:05Z') },
    ...{ labels: ['a'], otherLabels: ['b=c'] },
  })
  for (const [filter, stderr] of [
    ['color=red', /invalid filter 'color'/],
    ['until=never', /invalid filter 'until=never'/],
    ['until=1h --filter until=2h', /more than one until/],
  ] as const) {
    t.match(await d.run(`image prune -f --filter ${filter}`), { code: 125, stderr })
  }
  d.daemon['pruneImages'] = async () => ({ untagged: [], deleted: [], reclaimedBytes: 0 })
  t.match(await d.run('image prune -f'), { stdout: 'Total reclaimed space: 0B\n' })
})
