// A wallet for tests: it announces itself by the wallet standard as Petra and others do, and signs with Aptos' own library. What it
// is told to do stands in `window.testWallet`; its key never leaves the test.
import { createSignInMessage, createSignInSigningMessage } from '@aptos-labs/siwa';
import { Account, AccountInfo, Ed25519PrivateKey } from './aptos.js';

const told = () => window.testWallet ?? {};
const approved = args => ({ status: 'Approved', args });
const rejected = { status: 'Rejected' };

function make({ name, key, plain }) {
  const account = Account.fromPrivateKey({ privateKey: new Ed25519PrivateKey(key) });
  const address = account.accountAddress.toString();
  const info = new AccountInfo({ address, publicKey: account.publicKey });
  const network = () => ({ name: 'local', chainId: told().chain ?? 4 });
  const chainId = () => (network().chainId === 4 ? 'aptos:localnet' : 'aptos:mainnet');
  // People look before they agree.
  const asked = async () => {
    await new Promise(done => setTimeout(done, 50));
    return !told().reject;
  };
  const feature = (name, method, version = '1.0.0') => ({ [`aptos:${name}`]: { version, [name]: method } });
  const signIn = feature('signIn', async input => {
    if (!(await asked())) return rejected;
    // The wallet itself says who asks and who signs.
    const bound = { ...input, domain: location.host, uri: location.origin, address, version: '1', chainId: chainId() };
    const message = createSignInSigningMessage(createSignInMessage(bound));
    return approved({ account: info, input: bound, signature: account.sign(message), type: 'ed25519' });
  });
  return {
    version: '1.0.0',
    name,
    icon: 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCA4IDgiPjxwYXRoIGQ9Ik0wIDBoOHY4SDB6Ii8+PC9zdmc+',
    url: 'https://wallet.example',
    chains: ['aptos:localnet', 'aptos:mainnet'],
    accounts: [{ address, publicKey: account.publicKey.toUint8Array(), chains: ['aptos:localnet'], features: [] }],
    features: {
      ...feature('connect', async () => ((await asked()) ? approved(info) : rejected)),
      ...feature('account', async () => info),
      ...feature('disconnect', async () => {}),
      ...feature('network', async () => network()),
      ...feature('onAccountChange', async () => {}),
      ...feature('onNetworkChange', async () => {}),
      ...feature('signMessage', async ({ message, nonce }) => {
        if (!(await asked())) return rejected;
        const fullMessage = `APTOS\naddress: ${address}\napplication: ${location.origin}\nchainId: ${network().chainId}\nmessage: ${message}\nnonce: ${nonce}`;
        const signature = account.sign(new TextEncoder().encode(fullMessage));
        return approved({ address, application: location.origin, chainId: network().chainId, fullMessage, message, nonce, prefix: 'APTOS', signature });
      }),
      ...feature('signTransaction', async transaction =>
        (await asked()) ? approved(account.signTransactionWithAuthenticator(transaction)) : rejected),
      ...(plain ? {} : signIn),
    },
  };
}

for (const asked of told().wallets ?? []) {
  const wallet = make(asked);
  const register = ({ register }) => register(wallet);
  window.dispatchEvent(new CustomEvent('wallet-standard:register-wallet', { detail: register }));
  window.addEventListener('wallet-standard:app-ready', event => register(event.detail));
}
