// How a whole nft script is handed to `nft -f`.

/**
 * Runs the script on standard input as one transaction. Through `cat`, because Node gives its children a socket and nft
 * 1.0.9 (Ubuntu 24.04) reads files and pipes only.
 */
export const nftFromInput: readonly string[] = ['sh', '-c', 'cat | nft -f -']
