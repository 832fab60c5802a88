// Stacks on real containers: the example, a stack with network, secret and config, deployments that change nothing, something, and
// what fails and is taken back; and that removing leaves nothing.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { TestLab } from '../../support/test-lab.ts'
import { answer } from './ask.ts'

const name = 'stacks'
const waits = ['--wait', '--timeout', '90s']

function project(message: string, command = '/bin/serve'): string {
  return JSON.stringify({
    services: {
      web: {
        image: 'lab/hello',
        command,
        environment: { MESSAGE: message, TASK: '{{.Task.Name}}' },
        stop_grace_period: '1s',
        ports: ['18090:80'],
        networks: { front: { aliases: ['www'] } },
        secrets: ['key'],
        configs: [{ source: 'page', target: '/page' }],
        deploy: {
          replicas: 2,
          restart_policy: { condition: 'on-failure', delay: '100ms', max_attempts: 1 },
          update_config: { parallelism: 2, monitor: '1s' },
        },
      },
      other: { image: 'lab/hello', stop_grace_period: '1s', networks: ['front'] },
      yearly: {
        image: 'lab/hello',
        command: '/bin/sh -c "exit 0"',
        networks: ['front'],
        'x-schedule': { cron: '@yearly', time_zone: 'Europe/Berlin', retries: 0 },
      },
    },
    networks: { front: {} },
    secrets: { key: { file: './key' } },
    configs: { page: { file: './page' } },
  })
}

export async function stacks(t: Test, lab: TestLab): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tsswarm-stacks-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'compose.json')
  writeFileSync(join(folder, 'key'), 'hidden')
  writeFileSync(join(folder, 'page'), 'shown')
  const deploy = async (text: string, ...more: readonly string[]) => {
    writeFileSync(file, text)
    return await lab.try('m1', 'stack', 'deploy', '-c', file, '--quiet', ...more, name)
  }
  const tasks = async (): Promise<string> => {
    const running = ['web', 'other'].map((service) => lab.running('m1', `${name}_${service}`))
    return (await Promise.all(running)).flatMap((rows) => rows.map(({ id }) => id)).join()
  }

  /** Until m1 leads to a task that says so: nodes learn of tasks a moment after the command that waited for them has ended. */
  const shows = (message: string): Promise<boolean> =>
    lab.until(`the page says ${message}`, async () => {
      const text = await answer(`http://${lab.address('m1')}:18090`)
      if (!text.includes(`message: ${message}`)) throw new Error(text)
      return true
    })

  await t.test('the example answers', async (t) => {
    const path = 'cluster-examples/hello/compose.yml'
    await lab.cli('m1', 'stack', 'deploy', '-c', path, ...waits, 'stacks-hello')
    for (const host of ['m1', 'w1', 'w2']) {
      const text = await answer(`http://${lab.address(host)}:8080`)
      t.match(text, new RegExp(`hello from ${host}\n.*task: stacks-hello_web\\.`, 's'), host)
    }
    await lab.cli('m1', 'stack', 'rm', 'stacks-hello')
  })

  await t.test('a second deployment replaces nothing, a changed one what changed', async (t) => {
    t.match(await deploy(project('one'), ...waits), { code: 0 })
    await shows('one')
    const before = await tasks()
    t.match(await deploy(project('one'), ...waits), { code: 0, stdout: '' })
    t.equal(await tasks(), before)
    writeFileSync(file, project('two'))
    const plan = await lab.cli('m1', 'stack', 'plan', '-c', file, name)
    t.match(
      plan,
      /^~ change service stacks_web \(tasks are replaced\)\n {6}task\.container\.env: .*two/m,
    )
    t.match(plan, /^Plan: 0 to create, 1 to change, 0 to remove, 5 unchanged\.$/m)
    t.match(await deploy(project('two'), ...waits), { code: 0 })
    const after = await tasks()
    const kept = before.split(',').filter((id) => after.includes(id))
    t.equal(kept.length, 1, 'the task of the other service alone')
  })

  await t.test('what cannot run ends with 1 and why, and the stack is what it was', async (t) => {
    const atomic = ['--atomic', '--timeout', '90s']
    const { code, stderr } = await deploy(project('three', '/bin/sh -c "exit 7"'), ...atomic)
    t.equal(code, 1)
    t.match(stderr, /^Error: service stacks_web: /m)
    writeFileSync(file, project('two'))
    t.match(await lab.cli('m1', 'stack', 'plan', '-c', file, name), / 0 to change,.* 6 unchanged/)
    await shows('two')
  })

  await t.test('a rollback brings the stack back, and its history tells all of it', async (t) => {
    const { code, stdout } = await lab.try('m1', 'stack', 'rollback', ...waits, name)
    t.equal(code, 0)
    t.match(stdout, /^Revision 1 of stack stacks:$/m)
    t.match(stdout, /^~ change service stacks_web \(tasks are replaced\)$/m)
    await shows('one')
    const format = '{{.Revision}} {{.Kind}} {{.State}} {{.By}}'
    const history = await lab.cli('m1', 'stack', 'history', '--format', format, name)
    t.match(
      history,
      /^4 rollback deployed, present .*@m1\n3 deploy reverted .*\n2 deploy deployed .*\n1 deploy deployed .*$/,
    )
  })

  await t.test('a service with x-schedule is a cron service, whose runs end well', async (t) => {
    const service = `${name}_yearly`
    const listed = ['--filter', `name=${service}`, '--format', '{{.Mode}} {{.Replicas}}']
    const next = await lab.cli('m1', 'service', 'ls', ...listed)
    t.match(next, /^cron 0\/0 \(next \d{4}-12-31 23:00:00 UTC\)$/)
    await lab.cli('m1', 'service', 'update', '--force', '--detach', service)
    await lab.until('the run ends', async () => {
      const format = '{{json .CronStatus.Runs}}'
      const text = await lab.cli('m1', 'service', 'inspect', '--format', format, service)
      return text.includes('"State":"completed"')
    })
  })

  await t.test('removing leaves nothing of it', async (t) => {
    await lab.cli('m1', 'stack', 'rm', '--detach=false', name)
    for (const kind of ['network', 'secret', 'config', 'service', 'stack']) {
      t.notMatch(await lab.cli('m1', kind, 'ls'), /stacks_|stacks /, kind)
    }
    t.match(await lab.try('m1', 'stack', 'history', name), { code: 1 })
  })
}
