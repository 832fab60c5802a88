// Sends a steady load over HTTP, each request over a connection of its own and with its name asked anew. A process of its own,
// so that it can be in a container's network namespace.
import { Resolver } from 'node:dns/promises'
import { request } from 'node:http'
import { systemClock } from '../../../proto/lib/clock.ts'
import { answerAsChild } from '../raft/child.ts'
import { type LoadCount, SteadyLoad } from './steady-load.ts'

export type LoadQuestion =
  /** Whether one request is answered; the answer says why not. */
  | { readonly kind: 'try'; readonly to: LoadTarget }
  | { readonly kind: 'start'; readonly to: LoadTarget; readonly perSecond: number }
  | { readonly kind: 'end' }

export interface LoadTarget {
  /** Addresses, or names: their addresses are taken in turn. */
  readonly hosts: readonly string[]
  readonly port: number
  /** Who is asked for names. */
  readonly nameServer?: string
}

export type LoadAnswer = { readonly failure?: string } | LoadCount

const answerMs = 5_000
let load: SteadyLoad | undefined

answerAsChild(async (question: LoadQuestion): Promise<LoadAnswer> => {
  switch (question.kind) {
    case 'try':
      return await sender(question.to)(0).then(
        () => ({}),
        (err) => ({ failure: String(err.message) }),
      )
    case 'start':
      load = new SteadyLoad(systemClock, question.perSecond, sender(question.to))
      return {}
    case 'end':
      return (await load?.end()) ?? { sent: 0, lost: {} }
  }
})

function sender({ hosts, port, nameServer }: LoadTarget): (number: number) => Promise<void> {
  const resolver = new Resolver({ timeout: 1_000, tries: 2 })
  if (nameServer !== undefined) resolver.setServers([nameServer])
  return async (number) => {
    const host = hosts[number % hosts.length] ?? ''
    const [address = ''] = nameServer === undefined ? [host] : await resolver.resolve4(host)
    await get(address, port)
  }
}

/** Rejects with the error's code, or the status when that is not 200. */
function get(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (err: NodeJS.ErrnoException): void => reject(new Error(err.code ?? err.message))
    const signal = AbortSignal.timeout(answerMs)
    const sent = request({ host, port, agent: false, signal }, (response) => {
      response.on('error', fail)
      response.on('end', () => {
        if (response.statusCode === 200 && response.complete) resolve()
        else reject(new Error(`status ${response.statusCode}`))
      })
      response.resume()
    })
    sent.on('error', fail)
    sent.end()
  })
}
