// Shaped like the template's own files: api/core.ts, api/sockets.ts, stores/auth.ts and a page's component.
const { createApp, onBeforeUnmount, onMounted, ref } = Vue;

const apiCore = {
  wsurl: () => new URL("api/v1", location).href.replace("http", "ws"),
};

const apiSockets = {
  socketRequest() {
    return new WebSocketAsPromised(`${apiCore.wsurl()}/socket`, {
      packMessage: (data) => JSON.stringify(data),
      unpackMessage: (data) => JSON.parse(data),
    });
  },
};

const authStore = {
  authTokens: { token: "" },
  async refreshTokens() {
    const answer = await fetch("token", { method: "POST" });
    if (answer.ok) this.authTokens = await answer.json();
  },
};

const SessionPage = {
  template: "#session-page",
  setup() {
    let wsp = {};
    const streaming = ref(true);
    const users = ref([]);
    const notice = ref("");
    // What the session has come to: the newest of each state, and who said it when.
    const thing = ref({ kind: "offer", text: "" });
    const price = ref({ price: "" });
    const told = ref({});

    onMounted(async () => {
      await authStore.refreshTokens();
      await initialiseSocket();
    });

    async function initialiseSocket() {
      if (!streaming.value) return; // the route was left meanwhile
      wsp = apiSockets.socketRequest();
      wsp.onClose.addListener(() => (streaming.value = false));
      wsp.onUnpackedMessage.addListener(watchResponseSocket);
      await wsp.open();
      // Deliberately sending a user token to authenticate the session
      wsp.sendPacked({ token: authStore.authTokens.token });
    }

    function closeSocket() {
      streaming.value = false;
      if (wsp.isOpened) wsp.close();
    }

    onBeforeUnmount(closeSocket);

    function watchResponseSocket(response) {
      // response: { state, data, error }
      switch (response.state) {
        case "initialised":
          // User session is authenticated and you can now launch the process
          sendSocketRequest("startThings", {});
          break;
        case "startThings":
          sendSocketRequest("channel.presence", { channel: response.data.channel });
          break;
        case "thing":
          thing.value = response.data.value;
          tell("thing", response.data);
          break;
        case "price":
          price.value = response.data.value;
          tell("price", response.data);
          break;
        case "channel.presence":
          show(response.data.members.map((member) => member.user));
          break;
        case "channel.joined":
          show([...users.value, response.data.member.user]);
          break;
        case "channel.left":
          show(users.value.filter((user) => user !== response.data.member.user));
          break;
        case "error":
          notice.value = `Error: ${response.error}`;
          break;
      }
    }

    function show(names) {
      users.value = [...new Set(names)].sort();
    }

    function tell(state, { by, at }) {
      told.value[state] = `${by}, ${new Date(at).toLocaleTimeString()}`;
      notice.value = "";
    }

    function sendSocketRequest(state, data) {
      wsp.sendPacked({ state, data });
    }

    function send(state, { target }) {
      sendSocketRequest(state, Object.fromEntries(new FormData(target)));
    }

    function save() {
      sendSocketRequest("save", {});
    }

    return { notice, price, save, send, streaming, thing, told, users };
  },
};

createApp({
  template: "#layout",
  components: { SessionPage },
  setup() {
    const route = ref(location.hash.slice(1) || "session");
    addEventListener("hashchange", () => (route.value = location.hash.slice(1)));
    return { route };
  },
}).mount("#app");
