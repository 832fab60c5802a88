// What a node proves itself with. Read anew for every connection, so that a renewal takes effect without a restart.

/** Certificates begin to be valid this long before they are made, for clocks that run behind. */
export const certificateBackdateMs = 3_600_000

/** PEM texts; caPem may hold two roots during a rotation. */
export interface TlsIdentity {
  readonly certPem: string
  /** Secret. */
  readonly keyPem: string
  readonly caPem: string
}

export interface IdentitySource {
  current(): TlsIdentity
  /** Calls listener after every change; the result stops that. */
  onChange(listener: (identity: TlsIdentity) => void): () => void
}
