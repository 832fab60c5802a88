// What a test and the probe it started in some namespace say to one another: a JSON text a line, requests in, answers out, each
// with the number of its request.

/** The port that every probe with a server waits on, TCP and UDP, both families. */
export const probePort = 7000

/**
 * `to` is an address, or a name that is asked of 127.0.0.11 first. `from`: the source address. `words` are what the other side
 * notes down; default: the name of this probe. `bytes`: of a datagram, which is filled up, and answered with as many.
 */
export type Question =
  | (Transfer & { readonly kind: 'tcp' })
  | (Transfer & { readonly kind: 'udp'; readonly bytes?: number })
  | { readonly kind: 'ping'; readonly to: string; readonly family?: 4 | 6 }
  | { readonly kind: 'name'; readonly to: string; readonly family: 4 | 6 }

export interface Transfer {
  readonly to: string
  /** Of the address of a name; default 4. */
  readonly family?: 4 | 6
  /** Default: probePort. */
  readonly port?: number
  readonly from?: string
  readonly words?: string
}

export interface Server {
  readonly transport: 'tcp' | 'udp'
  readonly port: number
  /** Default: all, of both families. */
  readonly address?: string
}

/** The address is given, also where it was a name; then the rest of its question. */
export type Request =
  /** Answered with a text for each: who answered and the client's address it saw; '' for nobody, an error's code when refused. */
  | { readonly op: 'ask'; readonly questions: readonly Question[]; readonly withinMs: number }
  /** The same question so many times, each on a socket of its own; answered with how often each text came. */
  | { readonly op: 'many'; readonly question: Question; readonly times: number }
  /** Answered with all words its server ever heard, each once. */
  | { readonly op: 'heard' }
  /** One more server, which calls itself so; answered when it waits. */
  | { readonly op: 'listen'; readonly server: Server; readonly name: string }
  /** The port is free again. */
  | { readonly op: 'unlisten'; readonly server: Server }

/** `id` is of the request; `failure` is a sentence, and there is no answer then. */
export type Answered =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: string }

export type Counts = Readonly<Record<string, number>>
