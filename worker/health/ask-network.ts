// Asks a container over the network how it is: a page or a connection. Runs in whatever network namespace its process is in.
import { request } from 'node:http'
import { connect } from 'node:net'
import type { ProbeAnswer } from './health-watch.ts'

export interface NetworkQuestion {
  readonly kind: 'http' | 'tcp'
  readonly address: string
  readonly port: number
  /** Of a page. */
  readonly path: string
  readonly timeoutMs: number
}

/** Of the page that says what is wrong. */
const bodyBytesMax = 4096
/** For the end of a connection. */
const closingMs = 1_000

/** Never rejects: whatever comes of it is the answer. */
export async function askNetwork(question: NetworkQuestion): Promise<ProbeAnswer> {
  const controller = new AbortController()
  const { timeoutMs } = question
  const timer = setTimeout(() => controller.abort(), timeoutMs)
  try {
    return await (question.kind === 'http' ? askPage : askPort)(question, controller.signal)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    const output = controller.signal.aborted ? `timeout after ${timeoutMs / 1000} s` : why
    return { isHealthy: false, output: `${subject(question)}: ${output}` }
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
}

function subject({ kind, address, port, path }: NetworkQuestion): string {
  const host = address.includes(':') ? `[${address}]` : address
  return kind === 'http' ? `http://${host}:${port}${path}` : `${host}:${port}`
}

function askPort({ address, port }: NetworkQuestion, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port })
    const abort = (): void => void socket.destroy(new Error('given up'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once('close', () => signal.removeEventListener('abort', abort))
    // Also after the connection was made: then nobody cares.
    socket.on('error', reject)
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      // An end in order, and what comes is read: a server's log shall not see a reset every time.
      socket.resume()
      socket.end()
      socket.setTimeout(closingMs, () => socket.destroy())
      resolve({ isHealthy: true, output: '' })
    })
  })
}

/** An answer from 200 to 399 is healthy; where a redirection leads is not looked at. */
function askPage(question: NetworkQuestion, signal: AbortSignal): Promise<ProbeAnswer> {
  const { address, port, path } = question
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'tsswarm-health', connection: 'close' }
    const asked = request({ host: address, port, path, headers, agent: false, signal })
    asked.once('error', reject)
    asked.once('response', (response) => {
      const status = response.statusCode ?? 0
      const answer = (body: string): void => {
        const isHealthy = status >= 200 && status < 400
        const text = body.trim() === '' ? '' : `: ${body.trim()}`
        const output = isHealthy ? '' : `${subject(question)}: status ${status}${text}`
        resolve({ isHealthy, output })
        response.destroy()
      }
      if (status < 400) return answer('')
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
        if (body.length >= bodyBytesMax) answer(body.slice(0, bodyBytesMax))
      })
      response.once('end', () => answer(body))
      // The status says enough.
      response.once('error', () => answer(body))
    })
    asked.end()
  })
}
