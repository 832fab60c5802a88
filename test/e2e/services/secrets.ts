// Secrets and configs in real containers: files as asked for, versions that roll what uses them and nothing else, and nothing of a
// secret on any host's disk.
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { withDaemon } from '../../../cli/lab/lab.ts'
import { hostNames } from '../../../cli/lab/lab-record.ts'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import { runCommand } from '../../../proto/lib/command.ts'
import { newId } from '../../../proto/lib/ids.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import type { TestLab } from '../../support/test-lab.ts'

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Says what it was given without saying it. */
const report =
  'stat -c "%n %a %u:%g" /run/secrets/db /etc/app.conf; sha256sum </run/secrets/db; sha256sum </etc/app.conf; exec sleep 1000'

export async function secrets(t: Test, lab: TestLab): Promise<void> {
  const folder = await mkdtemp('/tmp/tsswarm-secrets-')
  const first = `moonshine-${newId(systemRandom)}`
  const second = `sunshine-${newId(systemRandom)}`
  const template = 'pw={{secret "db"}} of {{.Service.Name}}'
  try {
    await t.test('files of a container', async (t) => {
      await fromFile(lab, folder, ['secret', 'create', 'secrets-db'], first)
      const golang = ['config', 'create', '--template-driver', 'golang', 'secrets-conf']
      await fromFile(lab, folder, golang, template)
      await create(lab)
      await lab.untilRunning('m1', 'secrets-web', 2)
      await lab.untilRunning('m1', 'secrets-other', 1)
      // What a task says last, of each of them.
      const said = await saidBy(lab, digest(`pw=${first} of secrets-web`), 2)
      t.match(said, '/run/secrets/db 400 1000:1001')
      t.match(said, '/etc/app.conf 444 0:0')
      t.match(said, digest(first))
      const refused = await lab.try('m1', 'secret', 'rm', 'secrets-db')
      t.match(refused.stderr, /in use by the following service: "secrets-web"/)
    })

    await t.test('a scan of every disk finds no secret', async (t) => {
      const data = Buffer.from(first)
      // Base64 has three alignments; these are the characters that do not depend on what is around.
      const coded = [0, 1, 2].map((skip) => data.subarray(skip).toString('base64').slice(0, 32))
      const [task] = await lab.running('m1', 'secrets-web')
      const seen = await holders(digest(first), lab.paths(task?.node ?? 'w1').stateDir)
      t.match(seen, [/\/log$/], 'the scan finds what a container has logged')
      for (const host of hostNames(lab.record)) {
        for (const text of [first, ...coded, data.toString('hex')]) {
          t.same(await holders(text, lab.paths(host).stateDir), [], `${host}: ${text.slice(0, 9)}`)
        }
      }
    })

    await t.test('a daemon that is started anew leaves them where they are', async (t) => {
      const before = await lab.running('m1', 'secrets-web')
      const [host = 'w1'] = before.map(({ node }) => node)
      await lab.stop(host)
      await lab.start(host)
      await lab.until('the service as it was', async () => {
        const now = (await lab.running('m1', 'secrets-web')).map(({ id }) => id)
        return before.every(({ id }) => now.includes(id)) ? now : undefined
      })
      t.pass()
    })

    await t.test('another version rolls what uses it, and a rollback goes back', async (t) => {
      const before = (await lab.running('m1', 'secrets-other')).map(({ id }) => id)
      await fromFile(lab, folder, ['secret', 'update', 'secrets-db'], second)
      await saidBy(lab, digest(`pw=${second} of secrets-web`))
      const history = await lab.cli('m1', 'secret', 'history', 'secrets-db')
      t.match(history, /\n2 .*\* +\d +secrets-web\n1 /)
      await lab.cli('m1', 'service', 'rollback', '--detach', 'secrets-web')
      await lab.until('the first version again', async () => {
        const spec = await lab.cli('m1', 'secret', 'history', 'secrets-db')
        return /\n1 .* 2 +secrets-web$/.test(spec) ? spec : undefined
      })
      t.same(
        (await lab.running('m1', 'secrets-other')).map(({ id }) => id),
        before,
      )
    })

    await t.test('fifty updates leave the present version and five before it', async (t) => {
      for (let i = 1; i <= 50; i++) await updateConfig(lab, String(i))
      const versions = await lab.until('six versions', async () => {
        const all = await lab.cli('m1', 'config', 'history', '-q', 'secrets-many')
        return all.split('\n').length === 6 ? all : undefined
      })
      t.equal(versions.split('\n').length, 6)
    })
  } finally {
    for (const name of ['web', 'other', 'many'])
      await lab.try('m1', 'service', 'rm', `secrets-${name}`)
    await lab.try('m1', 'secret', 'rm', 'secrets-db')
    await lab.try('m1', 'config', 'rm', 'secrets-conf', 'secrets-many')
    await rm(folder, { recursive: true })
  }
}

async function fromFile(
  lab: TestLab,
  folder: string,
  words: readonly string[],
  text: string,
): Promise<void> {
  const path = join(folder, 'data')
  await writeFile(path, text)
  await lab.cli('m1', ...words, path)
}

async function create(lab: TestLab): Promise<void> {
  const fast = ['--detach', '--stop-grace-period', '1s', '--update-monitor', '200ms']
  const place = ['--constraint', 'node.role==worker']
  const service = (name: string, ...more: readonly string[]): Promise<string> =>
    lab.cli('m1', 'service', 'create', '--name', `secrets-${name}`, ...fast, ...more)
  const secret = 'source=secrets-db,target=db,uid=1000,gid=1001,mode=0400'
  const uses = ['--secret', secret, '--config', 'source=secrets-conf,target=/etc/app.conf']
  await service(
    ...(['web', '--replicas', '2', '--replicas-max-per-node', '1'] as const),
    ...place,
    ...['--update-parallelism', '2', '--read-only', ...uses],
    ...['--entrypoint', `/bin/sh -c '${report}'`, 'lab/hello'],
  )
  await service('other', ...place, 'lab/hello')
  await lab.cli('m1', 'config', 'create', 'secrets-many', '/etc/hostname')
  await service('many', '--replicas', '0', '--config', 'secrets-many', 'lab/hello')
}

/** What its tasks have logged, once so many of them have said that. */
async function saidBy(lab: TestLab, text: string, times = 1): Promise<string> {
  return await lab.until(`${times} tasks say ${text}`, async () => {
    const said = await lab.cli('m1', 'service', 'logs', '--raw', 'secrets-web')
    return said.split(text).length > times ? said : undefined
  })
}

/** Files below the folder that hold the text, those of other file systems left out as the data plane's are. */
async function holders(text: string, folder: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runCommand(['grep', '-rlaF', '-e', text, folder])
  if (code > 1 && !/No such file/.test(stderr)) throw new Error(stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

async function updateConfig(lab: TestLab, text: string): Promise<void> {
  const name = 'secrets-many'
  await withDaemon(lab.deps, lab.record, 'm1', (client) =>
    client.call(ControlService.updateConfig, {
      requestId: newId(systemRandom),
      reference: name,
      version: 0,
      spec: { name, labels: {}, data: Buffer.from(text), templateDriver: '' },
    }),
  )
}
