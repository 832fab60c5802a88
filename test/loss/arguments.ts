// What `npm run test:loss` was asked for.
import { parseArgs } from 'node:util'

export interface LossArguments {
  readonly rate: number
  readonly keepAlive: number
  readonly replicas: number
  readonly rollings: number
  readonly slowPerSecond: number
  readonly slowSeconds: number
  /** How often a host is cut off, after the other steps. */
  readonly hosts: number
}

export const usage = `usage: [--rate 500] [--keep-alive 50] [--replicas 10] [--rollings 5] [--slow-rate 4] [--slow-seconds 10]
       [--hosts 5]
Rates are new connections a second, of both ways in together, as is --keep-alive. --rollings 0: only the loss of hosts.`

/** Undefined: they are wrong. */
export function readArguments(args: readonly string[]): LossArguments | undefined {
  try {
    const string = { type: 'string' } as const
    const { values } = parseArgs({
      args: [...args],
      options: {
        rate: string,
        'keep-alive': string,
        replicas: string,
        rollings: string,
        'slow-rate': string,
        'slow-seconds': string,
        hosts: string,
      },
    })
    const number = (text: string | undefined, otherwise: number): number =>
      text === undefined ? otherwise : Number(text)
    const read: LossArguments = {
      rate: number(values.rate, 500),
      keepAlive: number(values['keep-alive'], 50),
      replicas: number(values.replicas, 10),
      rollings: number(values.rollings, 5),
      slowPerSecond: number(values['slow-rate'], 4),
      slowSeconds: number(values['slow-seconds'], 10),
      hosts: number(values.hosts, 5),
    }
    const isWhole = [read.keepAlive, read.replicas, read.rollings, read.hosts].every(
      (n) => Number.isSafeInteger(n) && n >= 0,
    )
    const isPositive = [read.slowPerSecond, read.slowSeconds].every((n) => n >= 0)
    return isWhole && isPositive && read.rate > 0 && read.replicas > 1 ? read : undefined
  } catch {
    return undefined
  }
}
