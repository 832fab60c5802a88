// The commands of secrets and configs, and services that have them, against a daemon in this process.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parsePayloadUse } from '../../../cli/service/payload-use.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { golden } from '../../support/golden.ts'

async function aDaemon(t: Test): Promise<{ readonly d: TestDaemon; readonly file: FileOf }> {
  const d = await startTestDaemon()
  const folder = await mkdtemp('/tmp/tsswarm-payload-')
  t.teardown(async () => {
    await d.close()
    await rm(folder, { recursive: true })
  })
  const file = async (text: string): Promise<string> => {
    const path = join(folder, String(text.length))
    await writeFile(path, text)
    return path
  }
  return { d, file }
}

type FileOf = (text: string) => Promise<string>

const usesOf = (d: TestDaemon) =>
  d.world.store.view((tx) => [...tx.all('services')].map(({ spec }) => spec.task.container))[0]

t.test('secret create, ls, inspect, update, history, rm', async (t) => {
  const { d, file } = await aDaemon(t)
  const first = await d.run(`secret create --label tier=db db ${await file('one secret')}`)
  t.match(first, { code: 0, stdout: /^\w{25}\n$/, stderr: '' })
  t.match(await d.run(`secret create db ${await file('two')}`), {
    code: 1,
    stderr: /secret db already exists: give it other data with "tsswarm secret update db FILE"/,
  })
  const anyId = (text: string): string => text.replace(/\b[0-9a-z]{25}\b/g, 'ID'.padEnd(25))
  golden(t, 'test/golden/cli/secret-ls.txt', anyId((await d.run('secret ls')).stdout))
  t.equal((await d.run('secret ls -q')).stdout, first.stdout)
  t.equal((await d.run('secret ls --format {{.Name}}:{{.Labels}}')).stdout, 'db:tier=db\n')
  const inspect = await d.run('secret inspect db')
  t.match(JSON.parse(inspect.stdout), [
    { ID: first.stdout.trim(), Spec: { Name: 'db', Labels: { tier: 'db' } }, Revision: 1 },
  ])
  t.notMatch(inspect.stdout, /Data/)
  const pretty = await d.run('secret inspect --pretty db')
  t.match(pretty.stdout, /^ID:\t\t\t\w{25}\nName:\t\t\tdb\nLabels:\n - tier=db\nVersion: +\t1\n/)
  t.notMatch(pretty.stdout, /secret/)
  t.match(await d.run('secret inspect --pretty -f x db'), { code: 125 })

  await d.run('service create -d --name web --secret db nginx')
  const second = await d.run(`secret update db ${await file('two secret!')}`)
  t.match(second, { code: 0, stderr: 'Updated services: web\n' })
  t.not(second.stdout, first.stdout)
  t.equal(usesOf(d)?.secrets[0]?.source, second.stdout.trim())
  const labelled = await d.run('secret update --label-add a=1 --label-rm tier db')
  t.match(labelled, { code: 0, stdout: second.stdout, stderr: '' })
  t.match(await d.run('secret ls --filter label=a=1 --format {{.Version}}'), { stdout: '2\n' })
  t.match((await d.run('secret history db')).stdout, /^VERSION .*\n2 +\w{25}.*\* +0 +web\n1 /)
  t.equal((await d.run(`secret inspect -f {{.Revision}} ${first.stdout.trim()}`)).stdout, '1\n')

  t.match(await d.run('secret rm db'), {
    code: 1,
    stderr: /in use by the following service: "web"/,
  })
  await d.run('service rm web')
  t.same(await d.run('secret rm db'), { code: 0, stdout: 'db\n', stderr: '' })
  t.match(await d.run('secret rm db'), { code: 1, stderr: /secret "db" not found/ })
})

t.test('config create, inspect and pretty show what it holds', async (t) => {
  const { d, file } = await aDaemon(t)
  await d.run(`config create --template-driver golang conf ${await file('a={{.Task.Slot}}')}`)
  const [inspected] = JSON.parse((await d.run('config inspect conf')).stdout)
  t.match(inspected, {
    Spec: {
      Data: Buffer.from('a={{.Task.Slot}}').toString('base64'),
      Templating: { Name: 'golang' },
    },
  })
  t.match((await d.run('config inspect --pretty conf')).stdout, /Data:\na=\{\{\.Task\.Slot\}\}\n$/)
  t.match((await d.run('config ls')).stdout, /^ID +NAME +CREATED +UPDATED\n/)
  await d.run(`config update conf ${await file('b')}`)
  t.match((await d.run('config inspect conf -f {{.Spec.Templating.Name}}')).stdout, 'golang')
})

t.test('what cannot be read, or is too much, is refused before anything is sent', async (t) => {
  const { d, file } = await aDaemon(t)
  const refused: readonly (readonly [string, RegExp])[] = [
    ['secret create db', /requires/],
    ['secret create db /no/such/file', /cannot read \/no\/such\/file: ENOENT/],
    ['secret create db /tmp', /cannot read \/tmp: it is a folder/],
    [`secret create db ${await file('x'.repeat(512_000))}`, /a secret must be less than 500 KiB/],
    [`secret create --driver vault db ${await file('x')}`, /external stores are not available/],
    [`secret create --template-driver jinja db ${await file('x')}`, /must be one of golang/],
    [`secret create a/b ${await file('x')}`, /secret "a\/b" is not valid: name/],
    ['secret update nothing -', /terminal|not found/],
  ]
  for (const [line, message] of refused) {
    const run = await d.run(line)
    t.not(run.code, 0, line)
    t.match(run.stderr, message, line)
  }
  t.same(
    d.world.store.view((tx) => [...tx.all('secrets')]),
    [],
  )
})

t.test('services are given secrets and configs, and have them taken away', async (t) => {
  const { d, file } = await aDaemon(t)
  for (const name of ['one', 'two']) await d.run(`secret create ${name} ${await file(name)}`)
  await d.run(`config create conf ${await file('conf')}`)
  const flags = '--secret one --secret source=two,target=/x/two,uid=5,gid=6,mode=0400'
  const config = '--config source=conf,target=/etc/conf'
  t.match(await d.run(`service create -d --name web ${flags} ${config} nginx`), { code: 0 })
  t.match(usesOf(d), {
    secrets: [
      { name: 'one', target: 'one', mode: 0o444 },
      { name: 'two', target: '/x/two', uid: '5', gid: '6', mode: 0o400 },
    ],
    configs: [{ name: 'conf', target: '/etc/conf' }],
  })
  const [inspected] = JSON.parse((await d.run('service inspect web')).stdout)
  t.match(inspected.Spec.TaskTemplate.ContainerSpec.Secrets, [
    { File: { Name: 'one', UID: '0', GID: '0', Mode: 292 }, SecretName: 'one' },
    { File: { Name: '/x/two', UID: '5', GID: '6', Mode: 256 }, SecretName: 'two' },
  ])
  const pretty = (await d.run('service inspect --pretty web')).stdout
  t.match(pretty, /Secrets:\n Target:\t\/run\/secrets\/one\n {2}Source:\tone \(\w{25}\)\n/)
  t.match(pretty, /Target:\t\/x\/two\n.*\n {2}Mode:\t\t0400 5:6\n/)
  t.match(pretty, /Configs:\n Target:\t\/etc\/conf\n/)

  const change = '--secret-rm one --secret-add source=two,target=two --config-rm conf'
  t.match(await d.run(`service update -d ${change} web`), { code: 0 })
  t.match(usesOf(d), { secrets: [{ target: '/x/two' }, { target: 'two' }], configs: [] })
  await d.run('service update -d --secret-add source=one,target=two web')
  t.match(usesOf(d)?.secrets, [{ name: 'two' }, { name: 'one', target: 'two' }])
  t.match(await d.run('service update -d --secret-rm conf web'), {
    code: 1,
    stderr: /the service has no secret "conf"/,
  })
  t.match(await d.run('service update -d --config-add nothing web'), { stderr: /not found/ })
})

t.test('the grammar of --secret', async (t) => {
  t.match(parsePayloadUse('db'), { source: 'db', target: '', uid: '0', gid: '0', mode: 0o444 })
  t.match(parsePayloadUse('src=db,target=x,mode=0o440'), { source: 'db', target: 'x', mode: 0o440 })
  const refused: readonly (readonly [string, RegExp])[] = [
    ['', /must be NAME/],
    ['target=x', /source is required/],
    ['source=db,mode=400', /octal with a leading 0/],
    ['source=db,uid=root', /uid must be a number/],
    ['source=db,owner=x', /unexpected key "owner"/],
    ['source=db,target=', /field "target" has no value/],
    ['db,target', /field "db" has no value/],
  ]
  for (const [text, message] of refused) t.throws(() => parsePayloadUse(text), message, text)
})
