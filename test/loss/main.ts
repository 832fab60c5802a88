// `npm run test:loss -- [--rate 500] …` (arguments.ts): whether requests are lost to updates, drained nodes, scaling and lost managers,
// and for how long to a lost host. Exit code 0: none and not for long; 1: otherwise; 125: wrong arguments.
import { type LossArguments, readArguments, usage } from './arguments.ts'
import { type Loss, loseHost } from './host-loss.ts'
import { clientLines, failureLines, lossLine, stepLine } from './report.ts'
import { runLoss, sums } from './run.ts'
import { LossSite, workerHost } from './site.ts'

const wrongArguments = 125
/** Through the published port, and through the virtual address. */
const ways = 2
/** A busy machine may be late; what is lost is never answered. */
const answerMs = 15_000
const lossGoalMs = 4_000
/** Of new connections while hosts are lost: enough to see to 10 ms when it ends. */
const lossRate = 100

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Whether nothing was lost. */
async function steps(site: LossSite, read: LossArguments): Promise<boolean> {
  if (read.rollings === 0) return true
  const load = {
    perSecond: read.rate / ways,
    fastMs: 5,
    slowPerSecond: read.slowPerSecond / ways,
    slowMs: read.slowSeconds * 1000,
    keepAlive: Math.ceil(read.keepAlive / ways),
    waitMs: answerMs,
  }
  const { replicas, rollings } = read
  const plan = { replicas, fewer: Math.min(3, replicas), rollings, load }
  const { clients } = await runLoss(site, plan, (step) => print(stepLine(step)))
  for (const client of clients) for (const line of clientLines(client)) print(line)
  for (const { name, failures } of clients) {
    for (const failure of failures.slice(0, 20)) print(`  ${name}: ${JSON.stringify(failure)}`)
  }
  return sums(clients).failed === 0
}

async function lose(
  site: LossSite,
  loss: Loss,
  { replicas, host }: { readonly replicas: number; readonly host: string },
): Promise<boolean> {
  const result = await loseHost(site, loss, { replicas, perSecond: lossRate, host })
  for (const line of [lossLine(loss, result), ...failureLines(result)]) print(line)
  await site.spread(replicas)
  return loss === 'daemon killed' ? result.failed === 0 : result.lastFailureMs < lossGoalMs
}

async function main(args: readonly string[]): Promise<number> {
  const read = readArguments(args)
  if (read === undefined) {
    process.stderr.write(`${usage}\n`)
    return wrongArguments
  }
  const { replicas } = read
  const site = await LossSite.up('loss', replicas)
  try {
    const outcomes = [await steps(site, read)]
    if (read.hosts > 0) await site.spread(replicas)
    // Managers too, the leader among them.
    const lost = [workerHost, ...['m1', 'm2', 'm3'].filter((host) => host !== site.clientHost)]
    for (let i = 0; i < read.hosts; i++) {
      const host = lost[i % lost.length] ?? workerHost
      outcomes.push(await lose(site, 'host cut off', { replicas, host }))
    }
    if (read.hosts > 0) {
      outcomes.push(await lose(site, 'daemon killed', { replicas, host: workerHost }))
    }
    const isGood = outcomes.every((outcome) => outcome)
    print(isGood ? 'nothing was lost' : 'FAILED')
    return isGood ? 0 : 1
  } finally {
    await site.down()
  }
}

process.exitCode = await main(process.argv.slice(2))
