import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { faultPoints, faultVariable } from '../../../worker/fault-points.ts'

const module = new URL('../../../worker/fault-points.js', import.meta.url).href

/** How a process ends that reaches the point and then waits for a while, or says that it went on. */
async function endOf(point: string, env: Readonly<Record<string, string>>): Promise<string> {
  const script = `
    const { reachFaultPoint } = await import(${JSON.stringify(module)})
    reachFaultPoint(${JSON.stringify(point)})
    setTimeout(() => process.exit(7), 1_000)
  `
  const argv = ['--input-type=module', '--eval', script]
  const child = spawn(process.execPath, argv, { env: { ...process.env, ...env }, stdio: 'ignore' })
  const [code, signal] = await once(child, 'exit')
  return `${code ?? signal}`
}

t.test('a process ends at the point that the file names, and at no other', async (t) => {
  const dir = t.testdir({ fault: 'create.image 0\n', later: 'create.image 20\n' })
  const file = (name: string) => ({ [faultVariable]: join(dir, name) })
  const [at, later, other, none, unset] = await Promise.all([
    endOf('create.image', file('fault')),
    endOf('create.image', file('later')),
    endOf('create.bundle', file('fault')),
    endOf('create.image', file('absent')),
    endOf('create.image', { [faultVariable]: '' }),
  ])
  t.same([at, later, other, none, unset], ['SIGKILL', 'SIGKILL', '7', '7', '7'])
})

t.test('no point is named twice', async (t) => {
  const all = Object.values(faultPoints).flat()
  t.equal(new Set<string>(all).size, all.length)
})
